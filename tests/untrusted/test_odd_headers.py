"""Headers that break the standard in ways that writers do: read where the bytes have one meaning, else named."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom import uid

from functions.domain.errors import HeaderIncomplete, Refusal, RefusalCode
from functions.domain.header import read_header
from model_code.reading.elements import read_elements
from tests.fakes.dicom import STUDY, ct
from untrusted.header import Header

PIXELS = b"\xe0\x7f\x10\x00"


def read(body: bytes) -> Header:
    """Return the header that ingest reads, after the container has read the same."""
    header = read_header(body, len(body))
    other = read_elements(body, ("StudyInstanceUID", "Rows", "Columns"))
    assert (other.text("StudyInstanceUID"), other.number("Rows")) == (
        header.text("StudyInstanceUID"),
        header.number("Rows"),
    )
    assert other.pixel_data is not None
    return header


def refusal(body: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_header(body, len(body))
    return caught.value


def inserted(element: bytes, before: bytes = PIXELS) -> bytes:
    body = ct()
    at = body.rindex(before) if before == PIXELS else body.index(before)
    return body[:at] + element + body[at:]


ITEM = b"\xfe\xff\x00\xe0" + struct.pack("<L", 8) + bytes(8)
UNKNOWN = {
    "question marks, length of four bytes": b"??\0\0" + struct.pack("<L", 16) + ITEM,
    "question marks, length of two bytes": b"??" + struct.pack("<H", 16) + ITEM,
    "question marks, undefined length": b"??\0\0" + b"\xff" * 4 + ITEM + b"\xfe\xff\xdd\xe0" + bytes(4),
    "blanks": b"  \0\0" + struct.pack("<L", 4) + b"text",
    "blanks, length of two bytes": b"  " + struct.pack("<H", 4) + b"text",
    "zeros": b"\0\0\0\0" + struct.pack("<L", 4) + b"text",
    "small letters": b"lo" + struct.pack("<H", 4) + b"text",
    "small letters of a long VR": b"un\0\0" + struct.pack("<L", 4) + b"text",
    "a VR of the future": b"QQ\0\0" + struct.pack("<L", 4) + b"text",
    "an unknown VR, length of two bytes": b"QQ" + struct.pack("<H", 4) + b"text",
    "implicit": struct.pack("<L", 4) + b"text",
    "dashes": b"--" + struct.pack("<H", 4) + b"text",
}


@pytest.mark.parametrize("value", UNKNOWN.values(), ids=UNKNOWN)
@pytest.mark.parametrize("where", ["before the pixels", "in the middle", "first", "in an item"])
def test_an_element_of_unknown_vr_is_stepped_over(value: bytes, where: str) -> None:
    element = {"first": b"\x08\x00\x05\x00", "in the middle": b"\x20\x00\x50\x00"}.get(
        where, b"\x00\x50\x11\x11"
    ) + value
    if where == "in an item":
        undefined = b"\xff" * 4
        element = (
            b"\x08\x00\x40\x11SQ\0\0"
            + undefined
            + b"\xfe\xff\x00\xe0"
            + undefined
            + element
            + b"\xfe\xff\x0d\xe0"
            + bytes(4)
            + b"\xfe\xff\xdd\xe0"
            + bytes(4)
        )
        where = "first"
    before = {"first": b"\x08\x00\x08\x00CS", "in the middle": b"\x28\x00\x02\x00"}.get(where, PIXELS)
    header = read(inserted(element, before))
    assert (header.text("StudyInstanceUID"), header.number("Columns")) == (STUDY, 64)


def test_several_implicit_elements_in_an_explicit_data_set_are_stepped_over() -> None:
    two = b"\x00\x50\x11\x11" + struct.pack("<L", 4) + b"text" + b"\x00\x50\x12\x11" + struct.pack("<L", 2) + b"ab"
    assert read(inserted(two)).number("Rows") == 64


@pytest.mark.parametrize("vr", [b"??", b"QQ", b"  ", b"--"])
@pytest.mark.parametrize("long", [True, False])
def test_many_elements_of_one_unknown_vr_are_stepped_over(vr: bytes, *, long: bool) -> None:
    length = b"\0\0" + struct.pack("<L", 6) if long else struct.pack("<H", 6)
    many = b"".join(struct.pack("<HH", 0x5001, 0x1000 + one) + vr + length + b"abcdef" for one in range(50))
    assert read(inserted(many)).number("Rows") == 64


@pytest.mark.parametrize("value", UNKNOWN.values(), ids=UNKNOWN)
def test_every_cut_of_a_header_with_an_unknown_vr_is_incomplete_or_read(value: bytes) -> None:
    body = inserted(b"\x08\x00\x05\x00" + value, b"\x08\x00\x08\x00CS")
    for end in range(132, len(body) - 8192):
        with contextlib.suppress(HeaderIncomplete):
            assert read_header(body[:end], len(body)).number("Rows") == 64


def test_an_unknown_vr_without_a_length_that_fits_is_named() -> None:
    found = refusal(inserted(b"\x00\x50\x11\x11" + b"??\xff\xff\xff\xff\xff\x7f", PIXELS))
    assert found.code == RefusalCode.UNREADABLE_HEADER
    assert "(5000,1111)" in found.reason
    assert "whole file" not in found.reason


def test_a_length_beyond_the_end_is_damage_and_a_cut_file_is_not() -> None:
    body = ct()
    at = body.index(b"\x28\x00\x02\x00")
    damaged = body[: at + 6] + b"\xfe\xff" + body[at + 8 :]
    assert refusal(damaged).code == RefusalCode.TRUNCATED_HEADER  # an ordinary length: the rest may be missing
    long = body[:at] + b"\x28\x00\x01\x00OB\0\0" + struct.pack("<L", 0x7FFFFFFF) + body[at:]
    assert refusal(long).code == RefusalCode.UNREADABLE_HEADER
    assert "(0028,0001)" in refusal(long).reason
    cut = refusal(body[: at + 9])
    assert (cut.code, "(0028,0002)" in cut.reason, "whole file" in cut.reason) == (
        RefusalCode.TRUNCATED_HEADER,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("vr", "value"),
    [
        (b"UL", struct.pack("<L", 64)),
        (b"IS", b"64"),
        (b"IS", b"0064"),
        (b"DS", b"64.0"),
        (b"SS", b"\x40\0"),
        (b"UN", b"\x40\0"),
    ],
)
def test_rows_in_another_vr_are_read(vr: bytes, value: bytes) -> None:
    body = ct()
    at = body.index(b"\x28\x00\x10\x00US")
    reserved = b"\0\0" + struct.pack("<L", len(value)) if vr == b"UN" else struct.pack("<H", len(value))
    assert read(body[:at] + b"\x28\x00\x10\x00" + vr + reserved + value + body[at + 10 :]).number("Rows") == 64


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("vr", "code"), [("FD", "d"), ("FL", "f"), ("SS", "h"), ("SL", "l")])
def test_numbers_that_are_texts_are_also_read_from_binary_ones(vr: str, code: str, order: str) -> None:
    numbers = (1, 0, 0, 0, 0, -1)
    body = ct(syntax=uid.ExplicitVRLittleEndian if order == "<" else uid.ExplicitVRBigEndian)
    head = struct.pack(f"{order}HH", 0x20, 0x37)
    at = body.index(head)
    end = at + 8 + struct.unpack_from(f"{order}H", body, at + 6)[0]
    value = struct.pack(f"{order}6{code}", *numbers)
    body = body[:at] + head + vr.encode() + struct.pack(f"{order}H", len(value)) + value + body[end:]
    text = read_header(body, len(body)).text("ImageOrientationPatient")
    assert tuple(map(float, text.split("\\"))) == numbers


@pytest.mark.parametrize("vr", [b"UN", b"UL", b"LO", b"UV"])
def test_a_text_that_is_no_count_is_not_taken_for_a_large_number(vr: bytes) -> None:
    body = ct()
    at = body.index(b"\x28\x00\x10\x00US")
    value = b"JOHN" if vr == b"UL" else b"JOHN DOE"
    is_long = vr in {b"UN", b"UV"}
    length = b"\0\0" + struct.pack("<L", len(value)) if is_long else struct.pack("<H", len(value))
    body = body[: at + 4] + vr + length + value + body[at + 10 :]
    assert read_header(body, len(body)).number("Rows") is None


@pytest.mark.parametrize("vr", [b"OW", b"OB", b"UN", b"ow", b"??"])
def test_pixel_data_of_any_vr_is_pixel_data(vr: bytes) -> None:
    body = ct()
    at = body.rindex(PIXELS)
    assert read(body[: at + 4] + vr + body[at + 6 :]).number("Rows") == 64


@pytest.mark.parametrize("padding", [b"\n", b"\r\n", b"\t", b" ", b"\0\0\0"])
def test_identifiers_lose_the_padding_of_writers(padding: bytes) -> None:
    body = ct()
    at = body.index(b"\x20\x00\x0d\x00UI")
    value = b" " + STUDY.encode() + padding
    value += b"\0" * (len(value) % 2)
    old = 8 + int.from_bytes(body[at + 6 : at + 8], "little")
    body = body[: at + 6] + struct.pack("<H", len(value)) + value + body[at + old :]
    assert read_header(body, len(body)).uid("StudyInstanceUID") == STUDY


def test_a_big_endian_data_set_under_a_little_endian_name_is_read_as_it_is() -> None:
    body = ct(syntax=uid.ExplicitVRBigEndian).replace(b"1.2.840.10008.1.2.2\0", b"1.2.840.10008.1.2.1\0")
    header = read(body)
    assert header.transfer_syntax == uid.ExplicitVRBigEndian
    assert header.number("Rows") == 64
    assert header.notes


def test_an_inflated_data_set_under_the_deflated_name_is_read_as_it_is() -> None:
    body = ct()
    plain, deflated = b"\x14\x001.2.840.10008.1.2.1\0", b"\x16\x001.2.840.10008.1.2.1.99"
    header = read(body.replace(plain, deflated))
    assert (header.transfer_syntax, len(header.notes)) == (uid.ExplicitVRLittleEndian, 1)


def test_a_deflated_data_set_with_the_header_of_zlib_is_read() -> None:
    body = ct()
    at = body.index(b"\x08\x00\x08\x00CS")
    plain, deflated = b"\x14\x001.2.840.10008.1.2.1\0", b"\x16\x001.2.840.10008.1.2.1.99"
    assert read(body[:at].replace(plain, deflated) + zlib.compress(body[at:])).number("Rows") == 64


def relabelled(body: bytes, syntax: str) -> bytes:
    """Return a file whose meta information names another transfer syntax."""
    at = body.index(b"\x02\x00\x10\x00UI")
    end = at + 8 + int.from_bytes(body[at + 6 : at + 8], "little")
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    return body[: at + 6] + struct.pack("<H", len(value)) + value + body[end:]


ENCODINGS = [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian]
DEFLATED = uid.DeflatedExplicitVRLittleEndian


@pytest.mark.parametrize("encoded", [*ENCODINGS, DEFLATED])
@pytest.mark.parametrize("named", [*ENCODINGS, DEFLATED, uid.JPEGLosslessSV1, uid.RLELossless])
def test_a_data_set_is_read_as_it_is_encoded_whatever_syntax_is_named(encoded: uid.UID, named: uid.UID) -> None:
    if encoded == DEFLATED:
        plain = ct()
        at = plain.index(b"\x08\x00\x08\x00CS")
        deflater = zlib.compressobj(wbits=-15)
        body = plain[:at] + deflater.compress(plain[at:]) + deflater.flush()
    else:
        body = ct(syntax=encoded)
    header = read(relabelled(body, named))
    assert (header.number("Rows"), header.little_endian) == (64, encoded != uid.ExplicitVRBigEndian)
    both = {encoded, named}
    assert bool(header.notes) == (encoded != named and bool(both & {uid.ExplicitVRBigEndian, DEFLATED}))


def test_file_meta_information_in_implicit_vr_is_read() -> None:
    body = ct()
    at, meta = 132, b""
    while body[at : at + 2] == b"\x02\0":
        long = body[at + 4 : at + 6] == b"OB"
        start = at + (12 if long else 8)
        length = int.from_bytes(body[at + 8 : at + 12] if long else body[at + 6 : at + 8], "little")
        meta += body[at : at + 4] + struct.pack("<L", length) + body[start : start + length]
        at = start + length
    assert read(body[:132] + meta + body[at:]).transfer_syntax == uid.ExplicitVRLittleEndian


def test_an_item_with_a_length_and_a_delimiter_is_stepped_over() -> None:
    items = ITEM + b"\xfe\xff\x0d\xe0" + bytes(4)
    sequence = b"\x08\x00\x40\x11SQ\0\0" + b"\xff" * 4 + items * 2 + b"\xfe\xff\xdd\xe0" + bytes(4)
    assert read(inserted(sequence, b"\x20\x00\x0d\x00")).number("Rows") == 64


def test_stray_groups_of_meta_information_and_commands_change_nothing() -> None:
    stray = b"\x02\x00\x10\x00UI\x12\x001.2.840.10008.1.2\0"
    command = b"\x00\x00\x02\x00UI\x1a\x001.2.840.10008.5.1.4.1.1.2\0"
    for element in (command, command + stray, b"\x00\x00\x00\x00UL\x04\0\x22\0\0\0" + command + stray):
        header = read(inserted(element, b"\x08\x00\x08\x00CS"))
        assert (header.transfer_syntax, header.number("Rows")) == (uid.ExplicitVRLittleEndian, 64)


def test_attributes_behind_the_pixels_are_read_by_the_container_and_noted() -> None:
    body = ct()
    at = body.index(b"\x28\x00\x10\x00US")
    moved = body[:at] + body[at + 10 :] + body[at : at + 10]
    found = read_elements(moved, ("Rows",))
    assert (found.number("Rows"), len(found.header.notes)) == (64, 1)
    before = read_elements(body + b"\x28\x00\x10\x00US\x02\0\x07\0", ("Rows",))
    assert (before.number("Rows"), before.header.notes) == (64, [])


OTHERS = {
    "gzip": b"\x1f\x8b\x08\0" + bytes(200),
    "ZIP": b"PK\x03\x04" + bytes(200),
    "Office": b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml" + bytes(200),
    "NIfTI": struct.pack("<i", 348) + bytes(344),
    "NRRD": b"NRRD0004\ntype: short\n" + bytes(200),
    "PDF": b"%PDF-1.4" + bytes(200),
    "without the 128 bytes": ct()[132:],
    "JSON": b'[{"00080005": {"vr": "CS"}}]' + bytes(200),
    "HTML": b"\xef\xbb\xbf\r\n<!DOCTYPE html>" + bytes(200),
    "DICOMweb": b"\r\n--one\r\nContent-Type: application/dicom\r\n\r\n" + ct(),
    "MATLAB": b"MATLAB 5.0 MAT-file" + bytes(200),
    "MINC": b"CDF\x01" + bytes(200),
    "BMP": b"BM" + bytes(200),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_formats_are_refused_by_their_names(name: str) -> None:
    found = refusal(OTHERS[name])
    assert found.code == RefusalCode.NOT_DICOM
    assert name in found.reason


def test_what_has_no_pixels_says_what_it_may_be() -> None:
    private = b"\xa1\x07\x0a\x10OW\0\0" + struct.pack("<L", 9000) + bytes(9000)
    body = ct(PixelData=None)
    found = refusal(body + private)
    assert found.code == RefusalCode.NO_PIXEL_DATA
    assert "(07A1,100A)" in found.reason
    assert "DICOMDIR" in refusal(ct(PixelData=None, SOPClassUID=uid.MediaStorageDirectoryStorage)).reason
    assert "Float Pixel Data" in refusal(ct(PixelData=None, FloatPixelData=bytes(8))).reason


def by_pydicom(body: bytes, _: Path) -> str:
    try:
        dataset = pydicom.dcmread(io.BytesIO(body))
        return f"{dataset.Rows} {len(dataset.PixelData)}"
    except Exception:  # it raises anything for what it does not read
        return ""


def by_dcmtk(body: bytes, folder: Path) -> str:
    (folder / "a.dcm").write_bytes(body)
    command = ["dcmdump", "+P", "0028,0010", "+P", "7fe0,0010", str(folder / "a.dcm")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    found = re.findall(r"^\(.{9}\) \w\w (\d*).*# +(\d+),", done.stdout, re.MULTILINE)
    return f"{found[0][0]} {found[1][1]}" if len(found) == 2 else ""


NO_DCMTK = pytest.mark.skipif(not shutil.which("dcmdump"), reason="dcmdump, of Debian's dcmtk, is not installed")


@pytest.mark.parametrize(("peer", "least"), [(by_pydicom, 2), pytest.param(by_dcmtk, 5, marks=NO_DCMTK)])
def test_what_a_peer_reads_of_unknown_vrs_is_read_alike(
    peer: Callable[[bytes, Path], str], least: int, tmp_path: Path
) -> None:
    bodies = [inserted(b"\x00\x50\x11\x11" + value) for value in UNKNOWN.values()]
    read_by_it = {body: found for body in bodies if (found := peer(body, tmp_path))}
    assert len(read_by_it) >= least
    for body, found in read_by_it.items():
        header = read(body)
        assert header.pixels
        assert f"{header.number('Rows')} {header.pixels.length}" == found
