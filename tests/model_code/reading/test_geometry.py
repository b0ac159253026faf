"""How a slice lies in its array: the patient's axes by ImageOrientationPatient, and the shape of its pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model_code.reading.dicom import read_instance
from model_code.reading.geometry import Turn, pixel_height, turn_of
from tests.model_code.conftest import MakeSlice
from tests.model_code.reading.test_dicom import marked

STRAIGHT = Turn()
TILT = f"1\\0\\0\\0\\{math.cos(math.radians(30)):.6f}\\{-math.sin(math.radians(30)):.6f}"


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        ("1\\0\\0\\0\\1\\0", STRAIGHT),
        ("-1\\0\\0\\0\\-1\\0", Turn(reverse_rows=True, reverse_columns=True)),
        ("-1\\0\\0\\0\\1\\0", Turn(reverse_columns=True)),
        ("1\\0\\0\\0\\-1\\0", Turn(reverse_rows=True)),
        ("0\\1\\0\\1\\0\\0", Turn(exchange=True)),
        ("0\\-1\\0\\1\\0\\0", Turn(exchange=True, reverse_rows=True)),
        ("0\\1\\0\\-1\\0\\0", Turn(exchange=True, reverse_columns=True)),
        (TILT, STRAIGHT),
        ("0.9848\\0.1736\\0\\-0.1736\\0.9848\\0", STRAIGHT),
        ("0.1736\\0.9848\\0\\-0.9848\\0.1736\\0", Turn(exchange=True, reverse_columns=True)),
        ("1.00001\\0\\0\\0\\0.9999\\0", STRAIGHT),
        (" 1.0E+00 \\0\\0\\0\\1\\-0", STRAIGHT),
        ("1\\0\\0\\0\\0\\-1", STRAIGHT),  # coronal, feet below
        ("1\\0\\0\\0\\0\\1", Turn(reverse_rows=True)),
        ("0\\1\\0\\0\\0\\-1", STRAIGHT),  # sagittal, feet below
        ("0\\-1\\0\\0\\0\\-1", Turn(reverse_columns=True)),
    ],
)
def test_the_turn_is_the_nearest_one_to_the_patients_axes(make_slice: MakeSlice, orientation: str, turn: Turn) -> None:
    assert turn_of(read_instance(marked(make_slice(), "ImageOrientationPatient", orientation))) == turn


@pytest.mark.parametrize(
    "orientation",
    [
        "",
        "1\\0\\0\\0\\1",
        "1\\0\\0\\1\\0\\0",
        "0\\0\\0\\0\\0\\0",
        "2\\0\\0\\0\\2\\0",
        "a\\0\\0\\0\\1\\0",
        "1_0\\0\\0\\0\\1\\0",
    ],
)
def test_an_orientation_that_is_no_orientation_is_none(make_slice: MakeSlice, orientation: str) -> None:
    assert turn_of(read_instance(marked(make_slice(), "ImageOrientationPatient", orientation))) is None
    assert turn_of(read_instance(make_slice())) is None


@pytest.mark.parametrize("exchange", [False, True])
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("columns", [False, True])
def test_a_turn_undoes_how_the_array_was_stored(exchange: bool, rows: bool, columns: bool) -> None:
    upright = np.arange(12).reshape(3, 4)
    stored = upright[:: -1 if rows else 1, :: -1 if columns else 1]
    stored = stored.T if exchange else stored
    turned = Turn(exchange, rows, columns).apply(stored)
    np.testing.assert_array_equal(turned, upright)
    assert turned.flags.c_contiguous


@pytest.mark.parametrize(
    ("spacing", "ratio", "height"),
    [
        ("0.7\\0.7", "", 1.0),
        ("6.0\\3.0", "", 2.0),
        ("3.0\\6.0", "1\\1", 0.5),
        ("0.703125\\0.7031", "", 1.0),
        ("0.8\\0.7", "", 0.8 / 0.7),
        ("", "4\\3", 4 / 3),
        ("0\\0", "2\\1", 2.0),
        ("1\\-1", "2\\1", 2.0),
        ("", "", None),
        ("0\\1", "", None),
        ("-1\\-1", "", None),
        ("1\\11", "", None),
        ("1000\\1", "", None),
        ("1e300\\1e-300", "", None),
        ("nan\\1", "", None),
        ("0.7", "", None),
        ("0.7\\0.7\\0.7", "", None),
        ("", "1.5\\1", None),
    ],
)
def test_the_height_of_a_pixel_in_widths(make_slice: MakeSlice, spacing: str, ratio: str, height: float | None) -> None:
    body = marked(marked(make_slice(), "PixelSpacing", spacing), "PixelAspectRatio", ratio)
    assert pixel_height(read_instance(body)) == (None if height is None else pytest.approx(height))
