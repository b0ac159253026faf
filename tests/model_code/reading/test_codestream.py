"""What a codestream declares and where it ends, in every family."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from pydicom import uid

from model_code.reading.codestream import (
    MOST_BEGINNINGS,
    MOST_MARKERS,
    Codestream,
    Family,
    NoEndMarker,
    TwoFrames,
    read_codestream,
)
from model_code.reading.jpeg2000 import JP2_SIGNATURE, MOST_BOXES
from tests.hostile.objects import COLUMNS, PIXEL_FORMATS, ROWS, good
from tests.model_code.reading import encoded
from tests.model_code.reading.codestreams import PICTURE, SHAPE, frame_of, j2k, jls, jpeg_lossless

MADE: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: frame_of(good(uid.JPEGBaseline8Bit, PIXEL_FORMATS[0])),
    "JPEG Extended": lambda: encoded.JPEG_EXTENDED,
    "JPEG Lossless": lambda: jpeg_lossless(PICTURE, 12),
    "JPEG-LS": lambda: jls(PICTURE, 12),
    "near-lossless JPEG-LS": lambda: jls(PICTURE, 12, near=2),
    "JPEG 2000": lambda: j2k(PICTURE, 12),
    "signed JPEG 2000": lambda: j2k(PICTURE.astype(int) - 2048, 12, is_signed=True),
    "HTJ2K": lambda: encoded.HTJ2K,
    "lossy HTJ2K": lambda: encoded.HTJ2K_LOSSY,
}
END = b"\xff\xd9"


@pytest.fixture(params=MADE)
def codestream(request: pytest.FixtureRequest) -> bytes:
    """A codestream of each family without padding."""
    whole = MADE[request.param]()
    return whole[: whole.rindex(END) + 2]


def size(stream: Codestream) -> tuple[int, int, int]:
    return stream.rows, stream.columns, stream.components


def test_size_and_components(codestream: bytes) -> None:
    assert size(read_codestream(codestream)) in {(*SHAPE, 1), (ROWS, COLUMNS, 1), (encoded.ROWS, encoded.COLUMNS, 1)}


@pytest.mark.parametrize(
    ("name", "family", "bits", "is_signed", "is_lossless"),
    [
        ("JPEG", Family.JPEG, 8, False, False),
        ("JPEG Extended", Family.JPEG, 12, False, False),
        ("JPEG Lossless", Family.JPEG_LOSSLESS, 12, False, True),
        ("JPEG-LS", Family.JPEG_LS, 12, False, True),
        ("near-lossless JPEG-LS", Family.JPEG_LS, 12, False, False),
        ("JPEG 2000", Family.JPEG_2000, 12, False, True),
        ("signed JPEG 2000", Family.JPEG_2000, 12, True, True),
        ("HTJ2K", Family.JPEG_2000, 12, False, True),
        ("lossy HTJ2K", Family.JPEG_2000, 12, False, False),
    ],
)
def test_precision_sign_and_whether_bits_are_kept(
    name: str, family: Family, bits: int, is_signed: bool, is_lossless: bool
) -> None:
    stream = read_codestream(MADE[name]())
    found = stream.family, stream.bits, stream.is_signed, stream.is_lossless
    assert found == (family, bits, is_signed, is_lossless)


def test_every_cut_is_found(codestream: bytes) -> None:
    for length in range(len(codestream) - 1):
        with pytest.raises(ValueError, match=r"codestream|JPEG"):
            read_codestream(codestream[:length])


def test_a_missing_end_marker_is_named(codestream: bytes) -> None:
    for left in (codestream[:-2], codestream[:-1], codestream[:-2] + bytes(2), codestream[:-2] + b"\xff" * 9):
        with pytest.raises(NoEndMarker):
            read_codestream(left)


PADDING = [
    *(b"\0", b"\xff", b"\xcc", b" ", b"\0" * 9, b"\xff" * 9, b" " * 999, b"\xff\xd9", b"\xff\xff\xd9", b"\r\n"),
    *(b"\xd8", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", b"\xff\xd8\xff" * 99, b"\xff\x4f"),
    b"\xfe\xff\xdd\xe0\0\0\0\0",
]


@pytest.mark.parametrize("padding", PADDING, ids=lambda value: value[:8].hex())
def test_what_follows_the_end_marker_is_padding(codestream: bytes, padding: bytes) -> None:
    assert read_codestream(codestream + padding).data == codestream


@pytest.mark.parametrize("other", MADE)
@pytest.mark.parametrize("between", [b"", b"\0", b"\xff\xff"], ids=["close", "padded", "filled"])
def test_a_second_codestream_is_another_frame(codestream: bytes, between: bytes, other: str) -> None:
    with pytest.raises(TwoFrames):
        read_codestream(codestream + between + MADE[other]())


@pytest.mark.parametrize("name", ["JPEG", "JPEG Extended", "JPEG Lossless", "JPEG-LS", "near-lossless JPEG-LS"])
def test_a_second_codestream_behind_one_without_end_marker_is_another_frame(name: str) -> None:
    whole = MADE[name]()
    with pytest.raises(TwoFrames):
        read_codestream(whole[: whole.rindex(END)] + whole)


@pytest.mark.parametrize("name", ["JPEG", "JPEG Lossless", "JPEG-LS"])
def test_a_picture_in_an_application_segment_is_no_frame(name: str) -> None:
    whole = MADE[name]()
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + len(whole)) + whole
    stream = read_codestream(whole[:2] + thumbnail + whole[2:])
    assert size(stream) == size(read_codestream(whole))
    assert stream.data.startswith(whole[:2] + thumbnail)


def test_other_bytes_are_no_codestream() -> None:
    with pytest.raises(ValueError, match="neither JPEG nor JPEG 2000"):
        read_codestream(b"GIF89a" + bytes(60))
    with pytest.raises(ValueError, match="no frame header"):
        read_codestream(b"\xff\xd8\xff\xda" + bytes(60))


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\xe0\0\2"], ids=["fill bytes", "empty segments"])
def test_markers_without_end_are_followed_no_further_than_the_bound(filling: bytes) -> None:
    many = filling * (MOST_MARKERS + 1)
    with pytest.raises(ValueError, match=f"more than {MOST_MARKERS} markers before its frame header"):
        read_codestream(b"\xff\xd8" + many + END)
    whole = MADE["JPEG Lossless"]()
    scan = whole.index(b"\xff\xda")
    with pytest.raises(ValueError, match=f"more than {MOST_MARKERS} markers before its first scan"):
        read_codestream(whole[:scan] + many + whole[scan:])
    if filling != b"\xff":
        with pytest.raises(ValueError, match=f"more than {MOST_MARKERS} markers in its scans"):
            read_codestream(whole[: whole.rindex(END)] + many + END)


def test_the_search_for_a_second_codestream_is_bounded() -> None:
    whole = MADE["JPEG Lossless"]()
    false_starts = b"\xff\xd8\xff\xda" * MOST_BEGINNINGS
    assert read_codestream(whole + false_starts + whole).rows == SHAPE[0]


@pytest.mark.parametrize("name", ["JPEG", "JPEG Lossless", "JPEG-LS"])
def test_two_frame_headers_are_refused(name: str) -> None:
    whole = MADE[name]()
    at = next(whole.index(bytes((0xFF, marker))) for marker in (0xC0, 0xC3, 0xF7) if bytes((0xFF, marker)) in whole)
    header = whole[at : at + 2 + int.from_bytes(whole[at + 2 : at + 4], "big")]
    for where in (whole.index(b"\xff\xda"), whole.rindex(END)):
        with pytest.raises(ValueError, match="two frame headers"):
            read_codestream(whole[:where] + header + whole[where:])


def test_the_length_of_the_last_tile_part_may_be_open_and_its_header_hold_an_end_marker() -> None:
    whole = j2k(PICTURE, 12)
    at = whole.index(b"\xff\x90\0\x0a")
    comment = b"\xff\x64" + struct.pack(">2H", 6, 0) + END
    opened = whole[: at + 6] + bytes(4) + whole[at + 10 : at + 12] + comment + whole[at + 12 :]
    assert read_codestream(opened + b"\xff").data == opened.rstrip(b"\0")


def box(kind: bytes, content: bytes, length: int | None = None, *, is_long: bool = False) -> bytes:
    """Return a box of a JP2 file: with a length of eight bytes, or with another ``length`` than its own."""
    if is_long:
        return struct.pack(">L4sQ", 1, kind, 16 + len(content)) + content
    return struct.pack(">L4s", 8 + len(content) if length is None else length, kind) + content


FILE_TYPE = box(b"ftyp", b"jp2 \0\0\0\0jp2 ")


def test_the_codestream_is_taken_out_of_its_jp2_boxes() -> None:
    whole = j2k(PICTURE, 12)
    assert read_codestream(j2k(PICTURE, 12, is_jp2=True)).data == whole.rstrip(b"\0")
    for boxes in (
        box(b"jp2c", whole),
        box(b"jp2c", whole, is_long=True),
        box(b"jp2c", whole, length=0),
        box(b"jp2c", whole + bytes(9)),
        box(b"uuid", END + whole[:99], is_long=True) + box(b"jp2c", whole) + box(b"free", b"SECRET"),
        box(b"jp2c", whole) + b"\0",
        box(b"jp2c", whole) + b"\xff" * 5,
    ):
        assert read_codestream(JP2_SIGNATURE + FILE_TYPE + boxes).data == whole.rstrip(b"\0")


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (b"", "no codestream"),
        (box(b"free", b"") * 9, "no codestream"),
        (box(b"jp2c", b"no codestream"), "no codestream"),
        (box(b"free", b"") * (MOST_BOXES + 9), f"more than {MOST_BOXES} boxes"),
        (box(b"free", b"", length=7), "no codestream"),
        (box(b"free", b"", length=2**32 - 1), "no codestream"),
        (struct.pack(">L4s", 1, b"jp2c"), "within a header"),
    ],
    ids=["none", "others", "another content", "many", "too short", "too long", "cut"],
)
def test_other_jp2_files_are_refused(boxes: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_codestream(JP2_SIGNATURE + boxes)


def test_a_jp2_file_is_cut_or_has_two_frames_as_a_codestream_is() -> None:
    whole = j2k(PICTURE, 12)
    for boxes in (box(b"jp2c", whole) * 2, box(b"jp2c", whole * 2), box(b"jp2c", whole) + whole):
        with pytest.raises(TwoFrames):
            read_codestream(JP2_SIGNATURE + boxes)
    with pytest.raises(NoEndMarker):
        read_codestream(JP2_SIGNATURE + box(b"jp2c", whole)[:-20])


def test_random_bytes_in_a_scan_lead_nowhere_else() -> None:
    """Whatever the entropy-coded bytes are, the reading ends, with the declared size or a ValueError."""
    rng = np.random.default_rng(0)
    whole = MADE["JPEG Lossless"]()
    scan = whole.index(b"\xff\xda")
    for _ in range(200):
        noise = rng.integers(0, 256, 400, dtype=np.uint8).tobytes()
        try:
            assert size(read_codestream(whole[: scan + 10] + noise + END)) == (*SHAPE, 1)
        except ValueError:
            continue
