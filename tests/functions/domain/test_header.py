"""The header reader: ordinary files, every cut of a file, damage, and bombs."""

from __future__ import annotations

import contextlib
import random
import struct
import tracemalloc
import zlib

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from functions.domain.errors import HeaderIncomplete, Refusal, RefusalCode
from functions.domain.header import MAX_INFLATED, read_header
from tests.fakes.dicom import STUDY, ct


def code_of(data: bytes) -> RefusalCode:
    with pytest.raises(Refusal) as caught:
        read_header(data, len(data))
    return caught.value.code


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_reads_text_and_numbers_in_every_encoding(syntax: str) -> None:
    data = ct(syntax=syntax)
    header = read_header(data, len(data))
    assert header.text("StudyInstanceUID") == STUDY
    assert header.number("Rows") == 8
    assert header.meta_text("TransferSyntaxUID") == syntax


def test_stops_at_the_pixel_data() -> None:
    data = ct(PixelData=bytes(100_000))
    assert read_header(data[:2048], len(data)).text("Modality") == "CT"


def test_asks_for_more_when_the_header_goes_on() -> None:
    data = ct(ImageComments="x" * 5000)
    with pytest.raises(HeaderIncomplete):
        read_header(data[:600], len(data))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", DeflatedExplicitVRLittleEndian])
def test_every_cut_of_a_file_is_a_header_or_a_refusal_or_a_wish_for_more(syntax: str) -> None:
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
    start = data.index(b"\x08\x00\x16\x00UI")  # SOPClassUID, the first element of the data set
    return data[:start] + elements + data[start:]


def test_sequences_nested_beyond_reason_are_stepped_over() -> None:
    data = before_the_rest((SEQUENCE + ITEM) * 20_000 + (ITEM_END + SEQUENCE_END) * 20_000)
    assert read_header(data, len(data)).text("Modality") == "CT"


@pytest.mark.timeout(60)
def test_values_that_never_end_cost_no_more_time_than_their_length() -> None:
    endless = b"\x09\x00\x10\x10OB\x00\x00" + UNDEFINED
    assert code_of(before_the_rest(SEQUENCE + (ITEM + endless) * 200_000)) == RefusalCode.UNREADABLE_HEADER


def test_a_header_of_nothing_but_elements_fills_no_memory() -> None:
    many = b"".join(struct.pack("<HH2sH", 9, number, b"LO", 0) for number in range(1 << 16))
    data = before_the_rest(many + SEQUENCE + ITEM + many * 4 + ITEM_END + SEQUENCE_END)
    tracemalloc.start()
    try:
        assert read_header(data, len(data)).text("Modality") == "CT"
        assert tracemalloc.get_traced_memory()[1] < len(data)
    finally:
        tracemalloc.stop()


def test_different_bytes_stay_different_text_whatever_the_character_set() -> None:
    one, other = (ct(PatientID="PPPP").replace(b"PPPP", name.encode("iso8859_5")) for name in ("Иван", "Пётр"))
    assert read_header(one, len(one)).text("PatientID") != read_header(other, len(other)).text("PatientID")


def test_refuses_by_name() -> None:
    assert code_of(b"hello, this is a text file called .dcm") == RefusalCode.NOT_DICOM
    assert code_of(ct(PixelData=None)) == RefusalCode.NO_PIXEL_DATA
    assert code_of(ct()[:400]) == RefusalCode.TRUNCATED_HEADER
    assert code_of(bytes(128) + b"DICM") == RefusalCode.TRANSFER_SYNTAX_NOT_SERVED


def test_a_deflate_bomb_inflates_no_further_than_the_bound() -> None:
    small = ct(syntax=DeflatedExplicitVRLittleEndian)
    start = next(at for at in range(len(small)) if _inflates(small[at:]))
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = deflater.compress(bytes(4 * MAX_INFLATED)) + deflater.flush()
    assert code_of(small[:start] + bomb) == RefusalCode.HEADER_TOO_LONG


def _inflates(data: bytes) -> bool:
    try:
        return len(zlib.decompress(data, -zlib.MAX_WBITS)) > 200
    except zlib.error:
        return False
