"""Every defect in every transfer syntax ends in a reading or a named refusal, in both readers."""

from __future__ import annotations

from collections import Counter

import pytest
from pydicom import uid

from tests.hostile.matrix import cases, split
from tests.hostile.objects import CODECS, HTJ2K, NATIVE, CannotEncode
from tests.hostile.outcome import READ, outcome

SYNTAXES = (*NATIVE, *CODECS)
# What the container alone can know; the rest of its codes are refused at ingest, before a byte is stored.
FAILURES = {
    "UndecodablePixelData",
    "TooManyPixels",
    "UnsupportedPhotometric",
    "UnsupportedPixelFormat",
    "NotHounsfield",
    "ConstantPicture",
    "DamagedHeader",
}


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    return split()[0]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_every_case_ends_in_a_reading_or_a_named_refusal(syntax: uid.UID, made: dict[str, bytes]) -> None:
    found = {name: outcome(body) for name, body in made.items() if name.startswith(f"{syntax.keyword}/")}
    assert len(found) > 60
    failed = {name: one.container for name, one in found.items() if one.ingest == READ and one.container != READ}
    assert set(failed.values()) <= FAILURES, failed


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_the_sound_object_is_read_by_each_reader_of_its_syntax(syntax: uid.UID, made: dict[str, bytes]) -> None:
    name = next(name for name in made if name.startswith(f"{syntax.keyword}/") and name.endswith("bit/sound"))
    found = outcome(made[name])
    assert (found.ingest, found.container) == (READ, READ)


def test_no_case_is_left_out_in_silence() -> None:
    objects, reasons = split()
    assert len(objects) + len(reasons) == len({case.name for case in cases()})
    without = Counter(name.partition("/")[0] for name in objects)
    assert {syntax.keyword for syntax in HTJ2K}.isdisjoint(without)
    assert set(without) == {syntax.keyword for syntax in SYNTAXES}
    assert all(reasons.values())


def test_the_same_bytes_get_the_same_code(made: dict[str, bytes]) -> None:
    some = sorted(made)[::40]
    assert [outcome(made[name]) for name in some] == [outcome(made[name]) for name in some]


def test_a_case_without_an_object_says_why() -> None:
    case = next(case for case in cases() if case.name.startswith("HTJ2K"))
    with pytest.raises(CannotEncode, match="no encoder"):
        case.make()
