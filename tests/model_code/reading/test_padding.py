"""Padding is air: what PixelPaddingValue and PixelPaddingRangeLimit name, and nothing of the body."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from pydicom import uid

from model_code.errors import InstanceCode, InstanceError
from model_code.reading.ct_slice import CTSlice, read_slice
from model_code.reading.dicom import read_instance
from model_code.reading.notes import Note
from tests.model_code.conftest import MakeSlice
from tests.model_code.reading.test_hounsfield import CHEST, CIRCLE, noisy

SIGNED = noisy(CHEST).clip(-1024, 2000).astype(np.int16)
UNSIGNED = (SIGNED + 1024).astype(np.uint16)


def tag_of_padding(value: int, *, signed: bool = False, limit: int | None = None, big: bool = False) -> bytes:
    order = ">" if big else "<"
    values = [(0x0120, value)] + ([(0x0121, limit)] if limit is not None else [])
    return b"".join(
        struct.pack(f"{order}HH2sHH", 0x28, element, b"SS" if signed else b"US", 2, number % 65536)
        for element, number in values
    )


def padded(make_slice: MakeSlice, stored: np.ndarray, elements: bytes, **changes: Any) -> CTSlice:
    """The slice with the elements of its padding behind RescaleSlope, in front of the pixels."""
    body = make_slice(stored, **changes)
    at = body.rindex(b"\x7f\xe0\x00\x10" if changes.get("syntax") == uid.ExplicitVRBigEndian else b"\xe0\x7f\x10\x00")
    return read_slice(read_instance(body[:at] + elements + body[at:]))


def expected(hounsfield: np.ndarray, padding: np.ndarray) -> np.ndarray:
    filled: np.ndarray = np.where(padding, -1000, hounsfield)
    return filled


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("signed", "value"), [(False, 4095), (False, 65535), (True, -2000), (True, -32768), (True, 32767), (True, 3000)]
)
def test_padding_around_the_circle_becomes_air(make_slice: MakeSlice, signed: bool, value: int, big: bool) -> None:
    hounsfield = SIGNED if signed else UNSIGNED - 1024.0
    stored = np.where(CIRCLE, value, SIGNED if signed else UNSIGNED).astype(np.int16 if signed else np.uint16)
    found = padded(
        make_slice,
        stored,
        tag_of_padding(value, signed=signed, big=big),
        RescaleIntercept="0" if signed else "-1024",
        syntax=uid.ExplicitVRBigEndian if big else uid.ExplicitVRLittleEndian,
    )
    np.testing.assert_array_equal(found.upright(), expected(hounsfield, CIRCLE))
    assert Note.PADDING_IS_AIR in found.changes
    assert Note.PADDING_KEPT not in found.assumed


def test_the_sign_is_that_of_the_pixels_whatever_the_vr_says(make_slice: MakeSlice) -> None:
    stored = np.where(CIRCLE, -2000, SIGNED).astype(np.int16)
    found = padded(make_slice, stored, tag_of_padding(63536), RescaleIntercept="0")
    np.testing.assert_array_equal(found.upright(), expected(SIGNED, CIRCLE))


def test_a_negative_value_may_have_the_bits_of_the_pixels_alone(make_slice: MakeSlice) -> None:
    stored = np.where(CIRCLE, -2048, SIGNED.clip(-1024, 2000)).astype(np.int16)
    found = padded(make_slice, stored, tag_of_padding(2048), RescaleIntercept="0", BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(found.upright(), expected(SIGNED, CIRCLE))


@pytest.mark.parametrize("ends", [(-3000, -1400), (-1400, -3000)])
def test_a_range_of_padding_becomes_air(make_slice: MakeSlice, ends: tuple[int, int]) -> None:
    values = np.random.default_rng(2).integers(-3000, -1400, SIGNED.shape)
    stored = np.where(CIRCLE, values, SIGNED).astype(np.int16)
    found = padded(make_slice, stored, tag_of_padding(ends[0], signed=True, limit=ends[1]), RescaleIntercept="0")
    np.testing.assert_array_equal(found.upright(), expected(SIGNED, CIRCLE))


@pytest.mark.parametrize("ends", [(-2000, 3071), (-2000, 0), (-2000, -500)])
def test_of_a_range_that_has_air_and_tissue_in_it_the_value_alone_is_padding(
    make_slice: MakeSlice, ends: tuple[int, int]
) -> None:
    stored = np.where(CIRCLE, -2000, SIGNED).astype(np.int16)
    found = padded(make_slice, stored, tag_of_padding(ends[0], signed=True, limit=ends[1]), RescaleIntercept="0")
    np.testing.assert_array_equal(found.upright(), expected(SIGNED, CIRCLE))
    assert Note.PADDING_KEPT in found.assumed


@pytest.mark.parametrize("signed", [False, True])
def test_padding_beyond_bits_stored_loses_the_bits_that_pixels_lose(make_slice: MakeSlice, signed: bool) -> None:
    stored = np.where(CIRCLE, 63536, UNSIGNED).astype(np.uint16)
    elements = tag_of_padding(-2000 if signed else 63536, signed=signed)
    found = padded(make_slice, stored, elements, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(found.upright(), expected(UNSIGNED - 1024.0, CIRCLE))
    assert Note.PADDING_IS_AIR in found.changes


def test_padding_that_a_lossy_codestream_blurred_becomes_air_as_a_whole(make_slice: MakeSlice) -> None:
    blurred = np.random.default_rng(2).normal(-3024, 200, SIGNED.shape)
    stored = np.where(CIRCLE, blurred, SIGNED).astype(np.int16)
    found = padded(make_slice, stored, tag_of_padding(-3024, signed=True), RescaleIntercept="0")
    np.testing.assert_array_equal(found.upright(), expected(SIGNED, CIRCLE))


@pytest.mark.parametrize("value", [0, 20])
def test_padding_that_is_air_already_stays_as_it_is(make_slice: MakeSlice, value: int) -> None:
    found = padded(make_slice, np.where(CIRCLE, value, UNSIGNED).astype(np.uint16), tag_of_padding(value))
    assert found.padding is None
    assert found.upright() is found.hounsfield
    assert Note.PADDING_IS_AIR not in found.changes


def test_of_padding_with_a_value_of_the_body_only_what_is_joined_to_the_edge_becomes_air(
    make_slice: MakeSlice,
) -> None:
    stored = np.where(CIRCLE, 1064, UNSIGNED).astype(np.uint16)
    stored[60:70, 60:70] = 1064
    found = padded(make_slice, stored, tag_of_padding(1064))
    np.testing.assert_array_equal(found.upright(), expected(stored - 1024.0, CIRCLE))
    assert Note.PADDING_KEPT in found.assumed


def test_metal_inside_the_body_that_has_the_largest_value_stays(make_slice: MakeSlice) -> None:
    stored = UNSIGNED.copy()
    stored[60:66, 60:66] = 4095
    found = padded(make_slice, stored, tag_of_padding(4095))
    assert found.padding is None
    assert found.hounsfield.max() == 3071
    assert found.assumed[-1] == Note.PADDING_KEPT


def test_padding_is_found_around_corners(make_slice: MakeSlice) -> None:
    """A border with a bay that turns: no straight line from the edge reaches its end."""
    bay = np.zeros(UNSIGNED.shape, np.bool_)
    bay[:4], bay[:30, 10:14], bay[26:30, 10:40], bay[15:30, 36:40] = True, True, True, True
    found = padded(make_slice, np.where(bay, 4095, UNSIGNED).astype(np.uint16), tag_of_padding(4095))
    np.testing.assert_array_equal(found.upright(), expected(UNSIGNED - 1024.0, bay))


def test_a_picture_of_padding_alone_is_constant(make_slice: MakeSlice) -> None:
    with pytest.raises(InstanceError) as caught:
        padded(make_slice, np.full((64, 64), 4095, np.uint16), tag_of_padding(4095))
    assert caught.value.code == InstanceCode.CONSTANT_PICTURE


def test_padding_does_not_count_as_the_air_of_the_picture(make_slice: MakeSlice) -> None:
    shifted = (noisy(CHEST) + 1000).clip(0, None)
    stored = np.where(CIRCLE, -2000, shifted).astype(np.int16)
    with pytest.raises(InstanceError) as caught:
        padded(make_slice, stored, tag_of_padding(-2000, signed=True), RescaleIntercept="0")
    assert caught.value.code == InstanceCode.NOT_HOUNSFIELD


@pytest.mark.parametrize(
    "elements",
    [b"", struct.pack("<HH2sH", 0x28, 0x120, b"US", 0), struct.pack("<HH2sH", 0x28, 0x120, b"LO", 4) + b"Doe "],
)
def test_without_a_valid_padding_value_nothing_is_padding(make_slice: MakeSlice, elements: bytes) -> None:
    assert padded(make_slice, UNSIGNED, elements).padding is None
