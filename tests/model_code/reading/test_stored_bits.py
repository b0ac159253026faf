"""Stored values are BitsStored bits, signed as PixelRepresentation says, whatever else a pixel's bits hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from model_code.errors import InstanceCode
from model_code.reading.frame_notes import FrameNote
from tests.hostile.objects import COLUMNS, PIXEL_FORMATS, ROWS, good
from tests.model_code.conftest import make_slice
from tests.model_code.reading.codestreams import (
    PICTURE,
    SHAPE,
    frame_of,
    j2k,
    jls,
    jpeg_lossless,
    read,
    refusal,
    rle,
)

SIGNED = PICTURE.astype(np.int16) - 2048
OVERLAY = np.zeros(SHAPE, np.uint16)
OVERLAY[3:7, 4:20] = 1
BITS = {"BitsStored": 12, "HighBit": 11}
Encode = Callable[[np.ndarray], bytes]
WAYS: dict[str, tuple[uid.UID, Encode]] = {
    "native": (uid.ExplicitVRLittleEndian, lambda raw: raw.tobytes()),
    "big-endian": (uid.ExplicitVRBigEndian, lambda raw: raw.byteswap().tobytes()),
    "run lengths": (uid.RLELossless, lambda raw: encapsulate([rle(raw)])),
    "JPEG Lossless": (uid.JPEGLosslessSV1, lambda raw: encapsulate([jpeg_lossless(raw, 16)])),
    "JPEG-LS": (uid.JPEGLSLossless, lambda raw: encapsulate([jls(raw, 16)])),
    "JPEG 2000": (uid.JPEG2000Lossless, lambda raw: encapsulate([j2k(raw, 16)])),
}


def stored_in(way: str, raw: np.ndarray, *, is_signed: bool, **changes: Any) -> bytes:
    """An object of 12 bits stored whose pixels are the 16 bits of ``raw``."""
    syntax, encode = WAYS[way]
    pixels = encode(raw.view(np.uint16))
    return make_slice(
        raw, syntax=syntax, **(BITS | {"PixelData": pixels, "PixelRepresentation": int(is_signed)} | changes)
    )


def in_codestream(syntax: uid.UID, frame: bytes, allocated: int, stored: int, *, is_signed: bool = False) -> bytes:
    """An object around ``frame``, whose header says ``stored`` of ``allocated`` bits."""
    return make_slice(
        PICTURE,
        syntax=syntax,
        PixelData=encapsulate([frame]),
        BitsAllocated=allocated,
        BitsStored=stored,
        HighBit=stored - 1,
        PixelRepresentation=int(is_signed),
    )


@pytest.mark.parametrize("bit", [12, 13, 15])
@pytest.mark.parametrize("is_signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("way", WAYS)
def test_an_overlay_above_the_stored_bits_is_no_part_of_a_value(way: str, is_signed: bool, bit: int) -> None:
    raw = PICTURE | OVERLAY << bit
    found = read(stored_in(way, raw, is_signed=is_signed))
    expected = np.where(PICTURE > 2047, PICTURE.astype(int) - 4096, PICTURE) if is_signed else PICTURE
    np.testing.assert_array_equal(found.values, expected)
    assert found.notes == (FrameNote.HIGH_BITS,)


@pytest.mark.parametrize("way", ["JPEG-LS", "JPEG 2000"])
def test_an_overlay_is_none_either_where_the_codestream_has_one_bit_more(way: str) -> None:
    raw = PICTURE | OVERLAY << 12
    syntax, frame = (uid.JPEGLSLossless, jls(raw, 13)) if way == "JPEG-LS" else (uid.JPEG2000Lossless, j2k(raw, 13))
    found = read(in_codestream(syntax, frame, 16, 12))
    np.testing.assert_array_equal(found.values, PICTURE)
    assert found.notes == (FrameNote.HIGH_BITS,)


@pytest.mark.parametrize("way", WAYS)
def test_the_sign_is_the_highest_stored_bit_where_the_bits_above_are_zero(way: str) -> None:
    found = read(stored_in(way, SIGNED.view(np.uint16) & 0xFFF, is_signed=True))
    np.testing.assert_array_equal(found.values, SIGNED)
    assert found.notes == ()


@pytest.mark.parametrize("way", WAYS)
def test_the_sign_may_fill_the_bits_above(way: str) -> None:
    found = read(stored_in(way, SIGNED, is_signed=True))
    np.testing.assert_array_equal(found.values, SIGNED)
    assert found.notes == ()


def test_the_sign_may_be_the_codestreams_own() -> None:
    for bits in (12, 16):
        found = read(in_codestream(uid.JPEG2000Lossless, j2k(SIGNED, bits, is_signed=True), 16, 12, is_signed=True))
        np.testing.assert_array_equal(found.values, SIGNED)
        assert found.notes == ()


@pytest.mark.parametrize("way", [*WAYS, "signed JPEG 2000"])
def test_metal_beyond_the_stored_bits_is_read_where_signs_fill_all_bits(way: str) -> None:
    metal = SIGNED.copy()
    metal[20:24, 8:12] = 2500
    if way in WAYS:
        found = read(stored_in(way, metal, is_signed=True))
    else:
        found = read(in_codestream(uid.JPEG2000Lossless, j2k(metal, 16, is_signed=True), 16, 12, is_signed=True))
    np.testing.assert_array_equal(found.values, metal)
    assert found.notes == (FrameNote.MORE_BITS,)


@pytest.mark.parametrize(("allocated", "stored"), [(8, 8), (16, 8), (16, 6)])
@pytest.mark.parametrize("family", ["JPEG Lossless", "JPEG-LS", "JPEG 2000"])
def test_a_codestream_of_more_bits_than_the_header_has_is_refused_with_both_numbers(
    family: str, allocated: int, stored: int
) -> None:
    frames = {"JPEG Lossless": jpeg_lossless, "JPEG-LS": jls, "JPEG 2000": j2k}
    error = refusal(in_codestream(WAYS[family][0], frames[family](PICTURE, 12), allocated, stored))
    assert error.code is InstanceCode.UNDECODABLE_PIXEL_DATA
    assert "of 12 bits" in error.message
    assert str(stored) in error.message.partition("the header")[2]


@pytest.mark.parametrize("family", ["JPEG Lossless", "JPEG 2000"])
def test_a_codestream_of_all_allocated_bits_is_refused_where_most_pixels_need_more_than_are_stored(family: str) -> None:
    error = refusal(stored_in(family, PICTURE, is_signed=False, BitsStored=8, HighBit=7))
    assert "of 16 bits, the header says that 8 are stored" in error.message


def test_whatever_is_above_the_stored_bits_of_uncompressed_pixels_is_ignored() -> None:
    noise = np.random.default_rng(3).integers(0, 16, SHAPE).astype(np.uint16)
    for way in ("native", "big-endian", "run lengths"):
        found = read(stored_in(way, PICTURE | noise << 12, is_signed=False))
        np.testing.assert_array_equal(found.values, PICTURE)
        assert found.notes == (FrameNote.HIGH_BITS,)


def test_lossy_jpeg_of_8_bits_is_refused_where_more_are_stored() -> None:
    frame = frame_of(good(uid.JPEGBaseline8Bit, PIXEL_FORMATS[0]))
    body = make_slice(
        np.zeros((ROWS, COLUMNS), np.uint16), syntax=uid.JPEGBaseline8Bit, PixelData=encapsulate([frame]), **BITS
    )
    assert "of 8 bits, the header says that 12 are stored" in refusal(body).message


def test_lossless_codestreams_of_fewer_bits_are_read() -> None:
    small = PICTURE >> 4
    for syntax, frame in ((uid.JPEGLSLossless, jls(small, 8)), (uid.JPEG2000Lossless, j2k(small, 8))):
        found = read(in_codestream(syntax, frame, 16, 12))
        np.testing.assert_array_equal(found.values, small)
        assert found.notes == ()


@pytest.mark.parametrize("family", ["JPEG Lossless", "JPEG-LS", "JPEG 2000"])
def test_the_sign_of_a_codestream_of_fewer_bits_is_noted(family: str) -> None:
    frames = {"JPEG Lossless": jpeg_lossless, "JPEG-LS": jls, "JPEG 2000": j2k}
    found = read(in_codestream(WAYS[family][0], frames[family](SIGNED, 12), 16, 16, is_signed=True))
    is_read_as_sign = family != "JPEG Lossless"
    np.testing.assert_array_equal(found.values, SIGNED if is_read_as_sign else SIGNED & 0xFFF)
    expected = FrameNote.SIGN_OF_FEWER_BITS if is_read_as_sign else FrameNote.NO_SIGN_OF_FEWER_BITS
    assert found.notes == (expected,)


def test_lossy_values_that_round_beyond_the_stored_bits_do_not_wrap() -> None:
    bright = np.where(np.indices(SHAPE).sum(0) % 3 == 0, 4095, 4090).astype(np.uint16)
    bright[0, 0] = 40000  # so that the codestream has 16 bits
    found = read(in_codestream(uid.JPEGLSNearLossless, jls(bright, 16, near=3), 16, 12))
    assert np.abs(found.values.astype(int) - bright).max() <= 3
    assert (found.values > 4095).any()
    assert found.notes == ()


@pytest.mark.parametrize("bits", range(2, 17))
@pytest.mark.parametrize("near", [0, 1])
@pytest.mark.parametrize("is_signed", [False, True], ids=["unsigned", "signed"])
def test_jpeg_ls_of_every_precision_is_read(bits: int, near: int, is_signed: bool) -> None:
    stored = (PICTURE.astype(int) << 4 >> 16 - bits).astype(np.uint16)
    stored[0, 0] = 2**bits - 1
    allocated = 8 if bits <= 8 else 16
    found = read(
        in_codestream(uid.JPEGLSNearLossless, jls(stored, bits, near), allocated, bits, is_signed=is_signed)
    ).values.astype(int)
    assert np.abs((found & 2**bits - 1) - stored).max() <= near
    assert found.min() >= (-(2 ** (bits - 1)) if is_signed else 0)
    assert (found.min() < 0) == is_signed
