"""Which slices a study read leads to: those of its class, or all that its scores rest on."""

from __future__ import annotations

import pytest

from functions.dicom_results.documents import read_of
from functions.dicom_results.study import Slice
from tests.functions.dicom_results.rows import document, rows
from tests.functions.dicom_results.studies import SERIES

OF_COVID, OF_CAP = tuple(f"{SERIES[1]}.{n}" for n in (3, 4, 5)), (f"{SERIES[1]}.1",)


def names(slices: tuple[Slice, ...]) -> tuple[str, ...]:
    return tuple(one.sop_uid for one in slices)


@pytest.mark.parametrize(
    ("predicted", "of_class", "keys"),
    [
        ("covid", OF_COVID, OF_COVID),
        ("cap", OF_CAP, OF_CAP),
        ("normal", (), (*OF_COVID, *OF_CAP)),
        (None, (), (*OF_COVID, *OF_CAP)),
    ],
)
def test_a_class_leads_to_its_own_slices_and_none_or_the_reference_to_all(
    predicted: str | None, of_class: tuple[str, ...], keys: tuple[str, ...]
) -> None:
    read = read_of(document(Class=predicted), rows(), {}, predecessor=None)
    assert names(read.class_slices) == of_class
    assert names(read.key_slices) == keys


def test_slices_are_in_the_order_of_series_and_numbers_and_those_without_a_number_are_last() -> None:
    read = read_of(document(), rows({6: {"instance_number": None}, 7: {"instance_number": 0}}), {}, None)
    of_series = [one for one in read.in_order(read.members) if one.series_uid == SERIES[1]]
    assert [one.number for one in of_series] == [0, 3, 4, 5, 6, None]
