from __future__ import annotations

from typing import Any

import pytest

from functions.domain.header import read_header
from functions.domain.place import PLACELESS, Place, place_of
from tests.fakes.dicom import ct

NO_PLACE = {"ImageOrientationPatient": None, "PatientOrientation": None}


def place(**attributes: Any) -> Place:
    body = ct(**attributes)
    return place_of(read_header(body, len(body)))


def test_a_slice_has_its_numbers_and_its_position_along_its_normal() -> None:
    found = place(InstanceNumber=7, AcquisitionNumber=2, ImagePositionPatient=[-120, -130, 42.5])
    assert found == Place(instance_number=7, acquisition_number=2, slice_position=42.5)


def test_the_position_of_a_tilted_slice_is_that_along_its_own_normal() -> None:
    tilted = [1, 0, 0, 0, 0.8, -0.6]
    assert place(ImageOrientationPatient=tilted, ImagePositionPatient=[9, 0, 10]).slice_position == 8.0
    assert place(ImageOrientationPatient=tilted, ImagePositionPatient=[0, 10, 0]).slice_position == 6.0


def test_an_object_that_says_nothing_has_no_place() -> None:
    assert place(**NO_PLACE) == PLACELESS


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("position", [["1e999", "0", "1e999"], ["1", "2"], ["a", "b", "c"], ["0", "0", "1e9"]])
def test_a_position_that_is_none_is_left_out(position: list[str]) -> None:
    body = ct(ImagePositionPatient=[111111, 222222, 333333])
    written = b"111111.0\\222222.0\\333333.0"
    assert written in body
    changed = body.replace(written, "\\".join(position).ljust(len(written)).encode())
    assert place_of(read_header(changed, len(changed))).slice_position is None


def test_a_picture_of_a_phantom_says_so() -> None:
    assert place(QualityControlImage="YES").quality_control is True
    assert place(QualityControlImage="NO").quality_control is None
