"""The header reader: ordinary files, every cut of a file, damage, and bombs."""

from __future__ import annotations

import contextlib
import random
import struct
import tracemalloc
import zlib

import pytest
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from functions.domain.errors import HeaderIncomplete, Refusal, RefusalCode
from functions.domain.header import BOUNDS, WANTED, read_header
from tests.fakes.dicom import STUDY, ct
from untrusted.attributes import META
from untrusted.header import NO_VALUE, Header
from untrusted.walker import MOST_ELEMENTS, MOST_VALUE_BYTES, elements

FIRST = b"\x08\x00\x08\x00CS"  # ImageType, the first element of the data set


def code_of(data: bytes) -> RefusalCode:
    with pytest.raises(Refusal) as caught:
        read_header(data, len(data))
    return caught.value.code


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_reads_text_and_numbers_in_every_encoding(syntax: str) -> None:
    data = ct(syntax=syntax)
    header = read_header(data, len(data))
    assert header.text("StudyInstanceUID") == STUDY
    assert header.number("Rows") == 64
    assert header.text("TransferSyntaxUID") == syntax


def test_stops_at_the_pixel_data() -> None:
    data = ct(PixelData=bytes(100_000))
    assert read_header(data[:2048], len(data)).text("Modality") == "CT"


@pytest.mark.parametrize("element", [0x0000, 0x0001, 0x0002], ids=["group length", "offsets", "lengths"])
def test_elements_of_the_pixels_group_before_the_pixels_are_not_the_end(element: int) -> None:
    data = ct()
    at = data.rindex(b"\xe0\x7f\x10\x00")
    vr = b"UL\x04\x00" if element == 0 else b"OV\x00\x00\x04\x00\x00\x00"
    before = struct.pack("<HH", 0x7FE0, element) + vr + bytes(4)
    whole = data[:at] + before + data[at:]
    assert read_header(whole, len(whole)).text("Modality") == "CT"


def test_a_header_that_continues_asks_for_more_bytes() -> None:
    data = ct(ImageComments="x" * 5000)
    with pytest.raises(HeaderIncomplete):
        read_header(data[:600], len(data))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", DeflatedExplicitVRLittleEndian])
def test_every_cut_of_a_file_is_a_header_a_refusal_or_a_request_for_more(syntax: str) -> None:
    data = ct(syntax=syntax)
    for end in range(len(data)):
        for object_bytes in (end, len(data)):
            try:
                header = read_header(data[:end], object_bytes)
            except (Refusal, HeaderIncomplete):
                continue
            assert header.text("StudyInstanceUID") == STUDY


def test_damaged_bytes_never_escape_as_another_exception() -> None:
    rng = random.Random(1)
    data = ct()
    for _ in range(3000):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            damaged[rng.randrange(132, len(damaged))] = rng.randrange(256)
        with contextlib.suppress(Refusal, HeaderIncomplete):
            read_header(bytes(damaged), len(damaged))


UNDEFINED, SEQUENCE = b"\xff" * 4, b"\x08\x00\x40\x11SQ\x00\x00" + b"\xff" * 4
ITEM, ITEM_END = b"\xfe\xff\x00\xe0" + UNDEFINED, b"\xfe\xff\x0d\xe0" + bytes(4)
SEQUENCE_END = b"\xfe\xff\xdd\xe0" + bytes(4)


def before_the_rest(elements: bytes) -> bytes:
    data = ct()
    start = data.index(FIRST)
    return data[:start] + elements + data[start:]


def test_sequences_nested_beyond_reason_are_stepped_over() -> None:
    data = before_the_rest((SEQUENCE + ITEM) * 20_000 + (ITEM_END + SEQUENCE_END) * 20_000)
    assert read_header(data, len(data)).text("Modality") == "CT"


ENDLESS = b"\x09\x00\x10\x10OB\x00\x00" + UNDEFINED


def test_values_that_never_end_are_walked_once() -> None:
    assert code_of(before_the_rest(SEQUENCE + (ITEM + ENDLESS) * 40_000)) == RefusalCode.UNREADABLE_HEADER


def test_a_header_of_nothing_but_elements_fills_no_memory() -> None:
    many = b"".join(struct.pack("<HH2sH", 9, number, b"LO", 0) for number in range(40_000))
    data = before_the_rest(many + SEQUENCE + ITEM + many + ITEM_END + SEQUENCE_END)
    tracemalloc.start()
    try:
        assert read_header(data, len(data)).text("Modality") == "CT"
        assert tracemalloc.get_traced_memory()[1] < len(data)
    finally:
        tracemalloc.stop()


EMPTY = struct.pack("<HH2sH", 9, 1, b"LO", 0)


def test_a_header_may_have_as_many_elements_as_the_bound_and_not_one_more() -> None:
    data = ct()
    plain = sum(1 for _ in elements(data, 132, implicit=False, little_endian=True))
    fits = before_the_rest(EMPTY * (MOST_ELEMENTS - plain))
    assert read_header(fits, len(fits)).text("Modality") == "CT"
    assert code_of(before_the_rest(EMPTY * (MOST_ELEMENTS - plain + 1))) == RefusalCode.HEADER_TOO_LONG


def in_meta(elements: bytes) -> bytes:
    data = ct()
    return data[:132] + elements + data[132:]


def encoded(elements: bytes, syntax: str) -> bytes:
    """Return a data set that begins with these elements, in the encoding of the syntax."""
    data = ct(syntax=ExplicitVRLittleEndian)
    start = data.index(FIRST)
    padded = syntax.encode() + bytes(len(syntax) % 2)
    meta = data[:start].replace(b"\x14\x00" + b"1.2.840.10008.1.2.1\0", struct.pack("<H", len(padded)) + padded)
    rest = elements + data[start:]
    if syntax != DeflatedExplicitVRLittleEndian:
        return meta + rest
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return meta + deflater.compress(rest) + deflater.flush()


TOO_MANY = MOST_ELEMENTS + 1
UN_SEQUENCE = b"\x08\x00\x40\x11UN\x00\x00" + UNDEFINED
HOSTS_OF_ELEMENTS = {
    "elements": before_the_rest(EMPTY * TOO_MANY),
    "one element again and again": before_the_rest(b"\x10\x00\x20\x00LO\x02\x00P1" * TOO_MANY),
    "private groups": before_the_rest(
        b"".join(struct.pack("<HH2sH", 9 + 2 * (one % 9000), one % 256, b"LO", 0) for one in range(TOO_MANY))
    ),
    "in one sequence": before_the_rest(SEQUENCE + ITEM + EMPTY * TOO_MANY),
    "empty sequences": before_the_rest((SEQUENCE + SEQUENCE_END) * (TOO_MANY // 2)),
    "small sequences": before_the_rest((SEQUENCE + ITEM + EMPTY + ITEM_END + SEQUENCE_END) * (TOO_MANY // 5)),
    "items": before_the_rest(SEQUENCE + b"\xfe\xff\x00\xe0\0\0\0\0" * TOO_MANY),
    "sequences in sequences": before_the_rest((SEQUENCE + ITEM) * (TOO_MANY // 2)),
    "sequences of unknown VR": before_the_rest(
        UN_SEQUENCE + (ITEM + b"\x08\x00\x40\x11" + UNDEFINED) * (TOO_MANY // 2)
    ),
    "values without end": before_the_rest(SEQUENCE + (ITEM + ENDLESS) * TOO_MANY),
    "file meta information": in_meta(b"\x02\x00\x13\x00SH\x00\x00" * TOO_MANY),
    "half of them in the file meta information": in_meta(b"\x02\x00\x13\x00SH\x00\x00" * (TOO_MANY // 2)).replace(
        FIRST, EMPTY * (TOO_MANY // 2) + FIRST
    ),
    "a sequence in the file meta information": in_meta(
        b"\x02\x00\x02\x01SQ\0\0" + UNDEFINED + b"\xfe\xff\x00\xe0\0\0\0\0" * TOO_MANY
    ),
    "Implicit VR": encoded(struct.pack("<HHL", 9, 1, 0) * TOO_MANY, ImplicitVRLittleEndian),
    "Explicit VR Big Endian": encoded(struct.pack(">HH2sH", 9, 1, b"LO", 0) * TOO_MANY, ExplicitVRBigEndian),
    "deflated": encoded(EMPTY * TOO_MANY, DeflatedExplicitVRLittleEndian),
}


@pytest.mark.parametrize("data", HOSTS_OF_ELEMENTS.values(), ids=HOSTS_OF_ELEMENTS)
def test_too_many_elements_are_refused_by_name_as_soon_as_they_are_seen(data: bytes) -> None:
    assert code_of(data) == RefusalCode.HEADER_TOO_LONG
    with pytest.raises(Refusal) as caught:
        read_header(data, len(data) + 10**9)  # not the whole object, and yet there is no wish for more
    assert caught.value.code == RefusalCode.HEADER_TOO_LONG


def with_value(keyword: str, value: bytes, vr: bytes = b"UN") -> bytes:
    """Return the object with the attribute repeated at the end of its data set or file meta information."""
    data = ct(PixelData=None, **({keyword: None} if keyword != "SOPInstanceUID" else {}))
    tag = int(Tag(keyword))
    one = struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr, 0, len(value)) + value
    if tag >> 16 == 2:
        at = data.index(FIRST)
        return data[:at] + one + data[at:] + PIXELS
    return data + one + PIXELS


PIXELS = b"\xe0\x7f\x10\x00OW\0\0" + bytes(4)


@pytest.mark.parametrize("keyword", META | WANTED)
def test_a_value_that_is_too_long_is_kept_as_no_value(keyword: str) -> None:
    for length in (MOST_VALUE_BYTES + 2, 3_000_000):
        data = with_value(keyword, b"1" * length)
        header = read_header(data, len(data))
        assert header.text(keyword) == NO_VALUE
        assert header.number(keyword) is None


def test_the_longest_value_is_kept_whole() -> None:
    data = with_value("PatientID", b"P" * MOST_VALUE_BYTES)
    assert read_header(data, len(data)).text("PatientID") == "P" * MOST_VALUE_BYTES


def test_a_sequence_in_the_place_of_a_value_is_no_value() -> None:
    data = ct(NumberOfFrames=None, PixelData=None) + b"\x28\x00\x08\x00SQ\0\0" + UNDEFINED + SEQUENCE_END + PIXELS
    assert read_header(data, len(data)).text("NumberOfFrames") == NO_VALUE


def test_different_bytes_stay_different_text_whatever_the_character_set() -> None:
    one, other = (ct(PatientID="PPPP").replace(b"PPPP", name.encode("iso8859_5")) for name in ("Иван", "Пётр"))
    assert read_header(one, len(one)).text("PatientID") != read_header(other, len(other)).text("PatientID")


def test_refuses_by_name() -> None:
    assert code_of(b"hello, this is a text file called .dcm") == RefusalCode.NOT_DICOM
    assert code_of(ct(PixelData=None)) == RefusalCode.NO_PIXEL_DATA
    assert code_of(ct()[:410]) == RefusalCode.TRUNCATED_HEADER
    assert code_of(bytes(128) + b"DICM") == RefusalCode.TRANSFER_SYNTAX_NOT_SERVED


SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


def read_before_the_end(data: bytes, object_bytes: int) -> Header | None:
    with pytest.raises((Refusal, HeaderIncomplete)) as caught:
        read_header(data, object_bytes)
    return caught.value.header


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_object_without_pixel_data_identifies_its_patient(syntax: str) -> None:
    data = ct(PixelData=None, syntax=syntax)
    header = read_before_the_end(data, len(data))
    assert header
    assert (header.text("PatientID"), header.text("StudyInstanceUID")) == ("P-7", STUDY)
    assert header.has_passed("IssuerOfPatientID")


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("whole", [True, False])
def test_a_header_that_is_cut_says_what_came_before_and_never_a_part_of_a_value(*, syntax: str, whole: bool) -> None:
    data = ct(syntax=syntax, PatientID="P-1234", IssuerOfPatientID="Hospital A")
    said = set()
    for end in range(132, len(data)):
        try:
            read_header(data[:end], end if whole else len(data))
        except (Refusal, HeaderIncomplete) as error:
            header = error.header
            assert header
            said.add((header.text("PatientID"), header.text("IssuerOfPatientID"), header.text("StudyInstanceUID")))
            if not header.text("PatientID"):
                assert not header.has_passed("PatientID")
            if not header.text("IssuerOfPatientID"):
                assert not header.has_passed("IssuerOfPatientID")
    assert said <= {("", "", ""), ("P-1234", "", ""), ("P-1234", "Hospital A", ""), ("P-1234", "Hospital A", STUDY)}
    assert ("P-1234", "Hospital A", STUDY) in said


def test_a_damaged_header_says_what_came_before_the_damage() -> None:
    whole = ct()
    at = whole.index(b"\x28\x00\x02\x00")  # after the identity
    for damage in (b"\xfe\xff\x00\xe0" + bytes(4), b"\xff" * 40):
        header = read_before_the_end(whole[:at] + damage + whole[at:], len(whole) + len(damage))
        assert header
        assert header.text("StudyInstanceUID") == STUDY


def test_damage_that_looks_like_a_great_tag_does_not_count_as_absence() -> None:
    whole = ct()
    at = whole.index(b"\x10\x00\x20\x00")
    header = read_before_the_end(whole[:at] + b"\xf0\xff" * 4 + whole[at:], len(whole) + 8)
    assert header
    assert not header.has_passed("PatientID")


def test_a_deflated_header_says_what_came_before_the_damage() -> None:
    noise = random.Random(1).randbytes(5000).hex()
    whole = ct(syntax=DeflatedExplicitVRLittleEndian, ImageComments=noise)
    damaged = whole[:5200] + b"\xff" * 8 + whole[5208:]
    header = read_before_the_end(damaged, len(damaged))
    assert header
    assert header.text("PatientID") == "P-7"


def test_a_file_without_a_transfer_syntax_identifies_its_patient() -> None:
    data = ct()
    at = data.index(b"\x02\x00\x10\x00UI")
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    header = read_before_the_end(data[:at] + data[at + 8 + length :], len(data) - 8 - length)
    assert header
    assert header.text("StudyInstanceUID") == STUDY


def test_a_deflate_bomb_inflates_no_further_than_the_bound() -> None:
    small = ct(syntax=DeflatedExplicitVRLittleEndian)
    start = next(at for at in range(len(small)) if _inflates(small[at:]))
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = deflater.compress(bytes(4 * BOUNDS.inflated)) + deflater.flush()
    assert code_of(small[:start] + bomb) == RefusalCode.HEADER_TOO_LONG


def test_deflated_bytes_that_inflate_to_nothing_are_read_no_further_than_the_bound() -> None:
    empty_blocks = b"\x00\x00\x00\xff\xff" * (2 * BOUNDS.deflated // 5)
    data = encoded(b"", DeflatedExplicitVRLittleEndian)
    start = next(at for at in range(len(data)) if _inflates(data[at:]))
    assert code_of(data[:start] + empty_blocks + data[start:]) == RefusalCode.HEADER_TOO_LONG


def _inflates(data: bytes) -> bool:
    try:
        return len(zlib.decompress(data, -zlib.MAX_WBITS)) > 200
    except zlib.error:
        return False
