"""docs/operations.md has every setting of a stage, with the default and the range that validation uses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from functions.settings import OneOf, Range, SomeOf, bare, hints_of, values_of
from infra.config import StageConfig
from infra.validation import bound_of

PAGE = Path(__file__).parents[2] / "docs/operations.md"
HINTS, DEFAULTS = hints_of(StageConfig), values_of(StageConfig())


def rows() -> dict[str, tuple[str, str, str]]:
    """Setting -> default, range and effect, as the page has them."""
    (section,) = re.findall(r"^## Settings of a stage$(.*?)^## ", PAGE.read_text(), re.M | re.S)
    found = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", section, re.M)
    assert len(found) == len({name for name, *_ in found}), "a setting has two rows"
    return {name: (default, bounds, effect) for name, default, bounds, effect in found}


def written(value: Any) -> str:
    """A default as the page writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if value in ({}, ()):
        return "empty"
    if isinstance(value, tuple):
        return ", ".join(value) if len(value) < 4 else f"{len(value)} {'UIDs' if value[0][0].isdigit() else 'kinds'}"
    if isinstance(value, str):
        return f"`{value}`" if value else "empty"
    return str(value)


def test_the_table_has_exactly_the_settings_of_a_stage() -> None:
    assert list(rows()) == list(DEFAULTS)


@pytest.mark.parametrize("setting", DEFAULTS)
def test_a_setting_has_its_default_its_range_and_what_it_does(setting: str) -> None:
    default, bounds, effect = rows()[setting]
    assert default == written(DEFAULTS[setting])
    assert bounds
    assert effect
    match bound_of(HINTS[setting]):
        case Range() as bound:
            assert bounds == str(bound)
        case SomeOf(choices=choices):
            assert bounds == "any of " + ", ".join(f"`{one}`" for one in choices)
        case OneOf(choices=choices):
            assert bounds == ", ".join(f"`{one}`" for one in choices)
        case None if bare(HINTS[setting]) is bool:
            assert bounds == "true, false"
