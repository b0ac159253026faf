"""The licences of the dependencies: known, none of the GNU family without a reason, and listed in docs/licences.md."""

from __future__ import annotations

import pytest

from tests import licences
from tests.licences import COPYLEFT_ALLOWED, Package


def test_every_licence_is_known_and_none_is_gnu_without_a_reason() -> None:
    assert [one.problem for one in licences.packages() if one.problem] == []


def test_what_is_allowed_by_name_is_there_and_outside_the_image() -> None:
    found = {one.name: one.purposes for one in licences.packages()}
    assert {name: found.get(name) for name in COPYLEFT_ALLOWED} == {"paramiko": ("SageMaker SDK extra",)}


def test_the_page_lists_what_is_installed() -> None:
    assert licences.PAGE.read_text() == licences.page(), "write it anew: python -m tests.licences"


@pytest.mark.parametrize(
    "licence",
    [
        "GPL-3.0-only",
        "AGPL-3.0",
        "GNU General Public License v3 (GPLv3)",
        "LGPL-3.0",
        "MIT AND GPL-2.0",
        "MIT AND Proprietary",
        "",
        "Other",
    ],
)
def test_a_licence_that_may_not_be_there_is_told(licence: str) -> None:
    assert Package("a", "1", licence, ()).problem


@pytest.mark.parametrize(
    "licence", ["MIT", "BSD License", "Apache-2.0 OR BSD-3-Clause", "Mozilla Public License 2.0 (MPL 2.0)"]
)
def test_a_permissive_licence_may(licence: str) -> None:
    assert not Package("a", "1", licence, ()).problem
