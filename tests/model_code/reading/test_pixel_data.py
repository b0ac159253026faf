"""A frame is read by what its bytes are, and what the object says otherwise is noted; or it is refused by name."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from pydicom import uid

from model_code.errors import InstanceCode
from model_code.reading.frame import TRANSFER_SYNTAXES
from model_code.reading.frame_notes import FrameNote
from tests.model_code.conftest import make_slice
from tests.model_code.reading.codestreams import (
    DELIMITER,
    FAMILIES,
    PICTURE,
    fragments,
    item,
    jpeg_lossless,
    read,
    refusal,
    rle,
    with_pixel_data,
)

COMPRESSED = [syntax for syntax in TRANSFER_SYNTAXES if syntax.is_encapsulated]
NATIVE = [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian]
BITS = {"BitsStored": 12, "HighBit": 11}
PIXELS = PICTURE.tobytes()
NOTHING = fragments(b"")
by_name = {"ids": lambda value: value.name if isinstance(value, uid.UID) else None}


def named(syntax: uid.UID, value: bytes, **changes: Any) -> bytes:
    """An object of PICTURE's size in Explicit VR Little Endian, whatever ``syntax`` it names."""
    return with_pixel_data(make_slice(PICTURE, syntax=syntax, **(BITS | {"PixelData": NOTHING} | changes)), value)


def native(syntax: uid.UID, value: bytes, length: int = 0xFFFFFFFF) -> bytes:
    """An object of a native transfer syntax with another value of PixelData."""
    body, order = make_slice(PICTURE, syntax=syntax, **BITS), "<" if syntax.is_little_endian else ">"
    at = body.index(struct.pack(f"{order}HH", 0x7FE0, 0x10)) + (4 if syntax.is_implicit_VR else 8)
    return body[:at] + struct.pack(f"{order}L", length) + value


def swapped(value: bytes) -> bytes:
    """Items as they are in Explicit VR Big Endian."""
    return value.replace(b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00").replace(b"\xfe\xff\xdd\xe0", b"\xff\xfe\xe0\xdd")


@pytest.mark.parametrize("table", [b"", bytes(4), b"\xff" * 4], ids=["no offsets", "an offset", "a wild offset"])
@pytest.mark.parametrize("cuts", [(), (400,), (2, 600)], ids=["one fragment", "two", "three"])
@pytest.mark.parametrize("syntax", NATIVE[:2], **by_name)
def test_native_pixels_in_fragments_are_read_from_them(syntax: uid.UID, cuts: tuple[int, ...], table: bytes) -> None:
    ends = [*cuts, len(PIXELS)]
    parts = [PIXELS[a:b] for a, b in zip([0, *cuts], ends, strict=True)]
    value = item(table) + b"".join(map(item, parts)) + DELIMITER
    for length in (0xFFFFFFFF, len(value)):
        found = read(native(syntax, value, length))
        np.testing.assert_array_equal(found.values, PICTURE)
        assert found.notes == (FrameNote.FRAGMENTED,)


def test_big_endian_pixels_in_fragments_of_either_order_are_read() -> None:
    pixels = PICTURE.byteswap().tobytes()
    ordered = swapped(item(b"")) + b"\xff\xfe\xe0\x00" + struct.pack(">L", len(pixels)) + pixels + swapped(DELIMITER)
    for value in (ordered, fragments(pixels)):
        found = read(native(uid.ExplicitVRBigEndian, value))
        np.testing.assert_array_equal(found.values, PICTURE)
        assert found.notes == (FrameNote.FRAGMENTED,)


@pytest.mark.parametrize("length", [len(PIXELS) - 2, 2 * len(PIXELS), 5])
def test_fragments_of_another_size_than_the_frames_are_refused(length: int) -> None:
    error = refusal(native(uid.ExplicitVRLittleEndian, fragments((PIXELS * 2)[:length])))
    assert error.code is InstanceCode.UNDECODABLE_PIXEL_DATA


def test_a_length_beyond_the_end_of_a_file_is_a_truncated_file_and_not_more_frames() -> None:
    cut = refusal(native(uid.ExplicitVRLittleEndian, PIXELS, 5 * len(PIXELS)))
    assert "truncated" in cut.message
    assert "more frames" in refusal(native(uid.ExplicitVRLittleEndian, PIXELS * 5, 5 * len(PIXELS))).message


def test_native_pixels_that_begin_as_an_item_does_are_pixels() -> None:
    picture = PICTURE.copy()
    picture[0, :4] = [0xFFFE, 0xE000, 0, 0]
    found = read(make_slice(picture))
    np.testing.assert_array_equal(found.values, picture)
    assert found.notes == ()
    padded = make_slice(picture, PixelData=picture.tobytes() + b"\x55\xaa" * 50)
    np.testing.assert_array_equal(read(padded).values, picture)


@pytest.mark.parametrize("family", FAMILIES, **by_name)
@pytest.mark.parametrize("syntax", NATIVE[:2], **by_name)
def test_a_compressed_frame_under_a_native_transfer_syntax_is_refused_by_name(syntax: uid.UID, family: uid.UID) -> None:
    """Dispatch counts such objects as quick, so no decoder may see them."""
    frame = FAMILIES[family]()
    odd = item(b"") + item(frame + bytes(1 - len(frame) % 2)) + b"\0"
    values = [(fragments(frame), 0xFFFFFFFF), (fragments(frame), len(fragments(frame))), (odd, len(odd))]
    values += [] if family == uid.RLELossless else [(frame, len(frame))]
    for value, length in values:
        assert "it is compressed, which this transfer syntax is not" in refusal(native(syntax, value, length)).message


@pytest.mark.parametrize("syntax", COMPRESSED, **by_name)
def test_native_pixels_under_a_compressed_transfer_syntax_are_read(syntax: uid.UID) -> None:
    for value, length in ((PIXELS, len(PIXELS)), (PIXELS + bytes(8), len(PIXELS) + 8)):
        body = make_slice(PICTURE, syntax=syntax, **(BITS | {"PixelData": NOTHING}))
        found = read(with_pixel_data(body, value, length))
        np.testing.assert_array_equal(found.values, PICTURE)
        assert found.notes == (FrameNote.UNCOMPRESSED,)
    in_a_fragment = read(named(syntax, fragments(PIXELS)))
    np.testing.assert_array_equal(in_a_fragment.values, PICTURE)
    assert in_a_fragment.notes == (FrameNote.UNCOMPRESSED,)


@pytest.mark.parametrize("syntax", COMPRESSED, **by_name)
@pytest.mark.parametrize("value", [PIXELS[:-2], PIXELS * 2, b"", bytes(900)], ids=len)
def test_other_bytes_under_a_compressed_transfer_syntax_are_refused(syntax: uid.UID, value: bytes) -> None:
    body = make_slice(PICTURE, syntax=syntax, **(BITS | {"PixelData": NOTHING}))
    for length in (len(value), 0xFFFFFFFF):
        assert "it holds no fragment" in refusal(with_pixel_data(body, value, length)).message


@pytest.mark.parametrize("family", FAMILIES, **by_name)
@pytest.mark.parametrize("syntax", COMPRESSED, **by_name)
def test_a_frame_is_decoded_by_what_it_is_whatever_the_transfer_syntax(syntax: uid.UID, family: uid.UID) -> None:
    frame = FAMILIES[family]()
    found = read(named(syntax, fragments(frame)))
    np.testing.assert_array_equal(found.values, PICTURE)
    is_named = TRANSFER_SYNTAXES[syntax] == TRANSFER_SYNTAXES[family]
    assert found.notes == (() if is_named else (FrameNote.OTHER_COMPRESSION,))


@pytest.mark.parametrize("family", [one for one in FAMILIES if one != uid.RLELossless], **by_name)
def test_a_codestream_outside_of_fragments_is_read(family: uid.UID) -> None:
    frame = FAMILIES[family]()
    found = read(with_pixel_data(named(family, b""), frame, len(frame)))
    np.testing.assert_array_equal(found.values, PICTURE)
    assert found.notes == (FrameNote.UNFRAGMENTED,)


@pytest.mark.parametrize("family", FAMILIES, **by_name)
@pytest.mark.parametrize(
    "table", [None, b"", struct.pack("<L", 4000), struct.pack("<2L", 0, 100)], ids=["none", "empty", "wild", "two"]
)
def test_the_offset_table_and_the_delimiter_decide_nothing(family: uid.UID, table: bytes | None) -> None:
    frame = FAMILIES[family]()
    frame += bytes(len(frame) % 2)
    for end in (DELIMITER, b"", DELIMITER + b"\xfc\xff\xfc\xffOB\0\0\4\0\0\0\0\0\0\0"):
        value = (b"" if table is None else item(table)) + item(frame) + end
        np.testing.assert_array_equal(read(named(family, value)).values, PICTURE)


@pytest.mark.parametrize("family", FAMILIES, **by_name)
@pytest.mark.parametrize("size", [1, 2, 99, 100, 101])
def test_fragments_are_joined_also_where_their_lengths_are_odd(family: uid.UID, size: int) -> None:
    frame = FAMILIES[family]()
    parts = [frame[at : at + size] for at in range(0, len(frame), size)]
    odd = b"".join(item(part) for part in parts)
    padded = b"".join(item(part) + bytes(len(part) % 2) for part in parts)  # the length does not count the padding
    for joined in (odd, padded):
        np.testing.assert_array_equal(read(named(family, item(b"") + joined + DELIMITER)).values, PICTURE)


CODESTREAMS = [one for one in FAMILIES if one != uid.RLELossless]


@pytest.mark.parametrize("family", CODESTREAMS, **by_name)
@pytest.mark.parametrize("wrong", [-100, -2, 8, 1000, 0xFFFFFFFF], ids=lambda value: f"by {value}")
def test_a_fragment_of_a_wrong_length_is_read_up_to_the_end_marker(family: uid.UID, wrong: int) -> None:
    frame = FAMILIES[family]()
    frame += bytes(len(frame) % 2)
    length = wrong if wrong == 0xFFFFFFFF else len(frame) + wrong
    found = read(named(family, item(b"") + item(frame, length) + DELIMITER))
    np.testing.assert_array_equal(found.values, PICTURE)
    assert set(found.notes) <= {FrameNote.WRONG_LENGTH}


@pytest.mark.parametrize("length", [100, 10**9, 0xFFFFFFFF])
def test_a_fragment_that_is_too_short_or_ends_beyond_the_file_is_noted(length: int) -> None:
    frame = FAMILIES[uid.JPEGLosslessSV1]()
    found = read(named(uid.JPEGLosslessSV1, item(b"") + item(frame, length) + DELIMITER))
    assert found.notes == (FrameNote.WRONG_LENGTH,)


@pytest.mark.parametrize("family", FAMILIES, **by_name)
def test_the_first_of_two_fragments_with_a_wrong_length_is_refused(family: uid.UID) -> None:
    frame = FAMILIES[family]()
    half = len(frame) // 4 * 2
    value = item(b"") + item(frame[:half], half - 10) + item(frame[half:]) + DELIMITER
    assert refusal(named(family, value)).code is InstanceCode.UNDECODABLE_PIXEL_DATA


@pytest.mark.parametrize("family", FAMILIES, **by_name)
def test_a_fragment_cut_by_the_end_of_the_file_is_truncated(family: uid.UID) -> None:
    frame = FAMILIES[family]()
    for left in (10, len(frame) // 2, len(frame) - 3):
        error = refusal(named(family, item(b"") + item(frame[:left], len(frame))))
        assert "truncated" in error.message or "ends within a header" in error.message


@pytest.mark.parametrize("family", FAMILIES, **by_name)
@pytest.mark.parametrize("other", FAMILIES, **by_name)
def test_two_frames_are_not_read_as_one(family: uid.UID, other: uid.UID) -> None:
    if (family == uid.RLELossless) != (other == uid.RLELossless):
        return
    error = refusal(named(family, fragments(FAMILIES[family](), FAMILIES[other]())))
    assert error.code is InstanceCode.MULTI_FRAME


@pytest.mark.parametrize(("allocated", "segments"), [(8, 2), (16, 1)])
def test_run_lengths_of_other_pixels_are_refused_with_both_numbers(allocated: int, segments: int) -> None:
    frame = rle(PICTURE >> (0 if segments == 2 else 4), 8 * segments)
    body = named(
        uid.RLELossless, fragments(frame), BitsAllocated=allocated, BitsStored=allocated, HighBit=allocated - 1
    )
    message = refusal(body).message
    assert f"has {segments} segments, pixels of {allocated} bits have {allocated // 8}" in message


@pytest.mark.parametrize("columns", [5, 6], ids=["odd", "even"])
@pytest.mark.parametrize("vr", ["OB", "OW"])
def test_big_endian_pixels_of_8_bits_are_in_words_only_where_the_vr_says_so(vr: str, columns: int) -> None:
    stored = np.arange(3 * columns, dtype=np.uint8).reshape(3, columns)
    pixels = stored.tobytes() + bytes(stored.size % 2)
    in_order = np.frombuffer(pixels, "<u2").byteswap().tobytes() if vr == "OW" else pixels
    body = make_slice(stored, syntax=uid.ExplicitVRBigEndian, PixelData=in_order)
    body = body.replace(b"\x7f\xe0\x00\x10OW", b"\x7f\xe0\x00\x10" + vr.encode())
    np.testing.assert_array_equal(read(body).values, stored)


@pytest.mark.parametrize("kind", ["u2", "i2"])
def test_big_endian_pixels_of_16_bits_are_read(kind: str) -> None:
    stored = (np.arange(15) * 1000 - (7000 if kind == "i2" else 0)).astype(kind).reshape(3, 5)
    np.testing.assert_array_equal(read(make_slice(stored, syntax=uid.ExplicitVRBigEndian)).values, stored)


def test_a_missing_end_marker_is_said_as_it_is() -> None:
    frame = jpeg_lossless(PICTURE, 12).rstrip(b"\0")[:-2]
    assert "no end marker" in refusal(named(uid.JPEGLosslessSV1, fragments(frame))).message
