"""A JPEG 2000 codestream without one of its tiles is refused, where a decoder would return grey."""

from __future__ import annotations

import io
import itertools
import struct

import numpy as np
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from model_code.errors import InstanceCode, InstanceError
from model_code.reading.codestream import read_codestream
from model_code.reading.dicom import decode, read_instance
from tests.model_code.conftest import MakeSlice

image = pytest.importorskip("PIL.Image", reason="Pillow encodes tiles, and the extra sdk includes it")
TILE = 16
SHAPE = (2 * TILE, 3 * TILE)


@pytest.fixture(scope="module")
def whole() -> bytes:
    """A lossless codestream of 16 bits with two rows of three tiles."""
    stored = np.random.default_rng(1).integers(0, 4096, SHAPE).astype(np.uint16)
    file = io.BytesIO()
    image.fromarray(stored).save(file, "JPEG2000", tile_size=(TILE, TILE), no_jp2=True, irreversible=False)
    return file.getvalue()


def parts(codestream: bytes) -> list[bytes]:
    """The main header, each tile-part, and the end marker."""
    cuts, at = [0], codestream.index(b"\xff\x90\x00\x0a")
    while codestream[at : at + 2] == b"\xff\x90":
        cuts.append(at)
        at += struct.unpack_from(">I", codestream, at + 6)[0]
    return [codestream[a:b] for a, b in itertools.pairwise([*cuts, at, len(codestream)])]


def without(codestream: bytes, tile: int) -> bytes:
    """The codestream as an exporter that lost one tile would leave it."""
    kept = parts(codestream)
    return b"".join(kept[: tile + 1] + kept[tile + 2 :])


def test_a_whole_codestream_has_all_of_its_tiles(whole: bytes) -> None:
    stream = read_codestream(whole)
    assert (stream.rows, stream.columns, stream.components) == (*SHAPE, 1)
    assert b"".join(parts(whole)) == whole
    assert len(parts(whole)) == 8


@pytest.mark.parametrize("tile", range(6))
def test_a_missing_tile_is_refused(whole: bytes, tile: int) -> None:
    with pytest.raises(ValueError, match="has 5 of its 6 tiles"):
        read_codestream(without(whole, tile))


def test_a_missing_part_of_a_tile_is_refused(whole: bytes) -> None:
    head, first, *rest = parts(whole)
    promising_two = first[:11] + b"\x02" + first[12:]
    with pytest.raises(ValueError, match="has 5 of its 6 tiles"):
        read_codestream(b"".join([head, promising_two, *rest]))


def test_a_repeated_or_undeclared_tile_replaces_no_other(whole: bytes) -> None:
    head, first, second, *rest = parts(whole)
    for number in (0, 6):
        other = second[:4] + struct.pack(">H", number) + second[6:]
        with pytest.raises(ValueError, match="has 5 of its 6 tiles"):
            read_codestream(b"".join([head, first, other, *rest]))


def test_the_last_part_may_leave_its_length_open(whole: bytes) -> None:
    *others, last, end = parts(whole)
    read_codestream(b"".join([*others, last[:6] + bytes(4) + last[10:], end]))


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [(24, 0, "without a size"), (8, 0xFFFFFFFF, "where 1 to 1024 are read")],
)
def test_impossible_tiles_are_refused(whole: bytes, at: int, value: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_codestream(whole[:at] + struct.pack(">I", value) + whole[at + 4 :])


@pytest.mark.parametrize("length", [1, 11, 13])
def test_a_length_that_leads_nowhere_is_refused(whole: bytes, length: int) -> None:
    head, first, *rest = parts(whole)
    broken = first[:6] + struct.pack(">I", length) + first[10:]
    with pytest.raises(ValueError, match="a tile-part of its codestream"):
        read_codestream(b"".join([head, broken, *rest]))


def test_an_object_without_a_tile_is_refused_and_not_read(whole: bytes, make_slice: MakeSlice) -> None:
    def body(codestream: bytes) -> bytes:
        return make_slice(np.zeros(SHAPE, np.uint16), syntax=uid.JPEG2000Lossless, PixelData=encapsulate([codestream]))

    assert decode(read_instance(body(whole))).shape == SHAPE
    with pytest.raises(InstanceError) as refused:
        decode(read_instance(body(without(whole, 4))))
    assert refused.value.code is InstanceCode.UNDECODABLE_PIXEL_DATA
    assert "5 of its 6 tiles" in str(refused.value)


@pytest.mark.parametrize("irreversible", [False, True])
def test_an_image_at_an_offset_is_read(make_slice: MakeSlice, irreversible: bool) -> None:
    stored = np.random.default_rng(1).integers(0, 4096, SHAPE).astype(np.uint16)
    file = io.BytesIO()
    image.fromarray(stored).save(
        file, "JPEG2000", offset=(7, 5), tile_size=(64, 64), no_jp2=True, irreversible=irreversible
    )
    body = make_slice(stored, syntax=uid.JPEG2000, PixelData=encapsulate([file.getvalue()]))
    np.testing.assert_allclose(decode(read_instance(body)), stored - 1024.0, atol=irreversible)


def test_more_parts_than_a_tile_can_have_are_refused(whole: bytes) -> None:
    head, first, *rest = parts(whole)
    for number in (0, 6):
        many = [(first[:4] + struct.pack(">HI", number, 14) + first[10:14])] * 256
        with pytest.raises(ValueError, match="more tile-parts than"):
            read_codestream(b"".join([head, *many, *rest]))


def test_parts_of_more_tiles_than_are_read_are_refused(whole: bytes) -> None:
    head, first, *rest = parts(whole)
    many = [first[:4] + struct.pack(">HI", number, 14) + first[10:14] for number in range(1025)]
    with pytest.raises(ValueError, match="more tile-parts than"):
        read_codestream(b"".join([head, *many, *rest]))


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        (b"\xff\x64\x00\x00" * 9, "has a length of 0 bytes"),
        (b"\xff\x64\x00\x02" * 2000, "has more than 1024 segments"),
    ],
)
def test_a_main_header_without_end_is_refused(whole: bytes, segments: bytes, message: str) -> None:
    first = whole.index(b"\xff\x90\x00\x0a")
    with pytest.raises(ValueError, match=message):
        read_codestream(whole[:first] + segments + whole[first:])
