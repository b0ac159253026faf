"""Defects that any object may have: in its file, its header and the values of its attributes."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

from pydicom import config, dcmread, uid
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset

from tests.hostile.objects import SECRET, Spoil
from untrusted.walker import elements

PREFIX = 132
UNDEFINED = b"\xff" * 4
DEFLATED = uid.DeflatedExplicitVRLittleEndian


def syntax_of(body: bytes) -> uid.UID:
    """Return the transfer syntax that a sound object names."""
    return uid.UID(dcmread(io.BytesIO(body), stop_before_pixels=True).file_meta.TransferSyntaxUID)


def parted(body: bytes) -> tuple[bytes, bytes]:
    """Return a sound object's file meta information and its inflated data set."""
    at = next(
        one.at for one in elements(body, PREFIX, implicit=False, little_endian=True, group=2) if one.tag >> 16 != 2
    )
    data = body[at:]
    return body[:at], zlib.decompress(data, -zlib.MAX_WBITS) if syntax_of(body) == DEFLATED else data


def deflated(data: bytes) -> bytes:
    """Return ``data`` deflated, as in a deflated data set."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def with_data_set(change: Callable[[bytes, str, bool], bytes]) -> Spoil:
    """Change the data set's bytes; ``change`` gets them with the byte order for struct and whether VRs are implicit."""

    def spoil(body: bytes) -> bytes:
        syntax = syntax_of(body)
        meta, data = parted(body)
        changed = change(data, "<" if syntax.is_little_endian else ">", syntax.is_implicit_VR)
        return meta + (deflated(changed) if syntax == DEFLATED else changed)

    return spoil


def header(order: str, implicit: bool, tag: int, vr: bytes, length: int) -> bytes:
    """Return the bytes before an element's value."""
    start = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if implicit or tag >> 16 == 0xFFFE:
        return start + struct.pack(f"{order}L", length)
    if vr in {b"SQ", b"OB", b"UN", b"UT"}:
        return start + vr + bytes(2) + struct.pack(f"{order}L", length)
    return start + vr + struct.pack(f"{order}H", length)


def inserted(make: Callable[[str, bool], bytes]) -> Spoil:
    """Put elements of a group before all others."""
    return with_data_set(lambda data, order, implicit: make(order, implicit) + data)


def sequences(opening: int, closing: int, inside: bytes = b"", vr: bytes = b"SQ") -> Spoil:
    """Return nested sequences, ``opening`` of them opened and ``closing`` closed."""

    def make(order: str, implicit: bool) -> bytes:
        open_one = header(order, implicit, 0x00081140, vr, 0xFFFFFFFF) + header(order, True, 0xFFFEE000, b"", 2**32 - 1)
        close_one = header(order, True, 0xFFFEE00D, b"", 0) + header(order, True, 0xFFFEE0DD, b"", 0)
        return open_one * opening + inside + close_one * closing

    return inserted(make)


def many_elements(order: str, implicit: bool) -> bytes:
    """Return twenty thousand empty private elements."""
    return b"".join(header(order, implicit, 0x00090000 + number, b"LO", 0) for number in range(20_000))


def endless_values(order: str, implicit: bool) -> bytes:
    """Return items that each hold a value without its delimiter: a reader that looks for it reads all, each time."""
    item = header(order, True, 0xFFFEE000, b"", 0xFFFFFFFF) + header(order, implicit, 0x00091001, b"OB", 0xFFFFFFFF)
    return header(order, implicit, 0x00081140, b"SQ", 0xFFFFFFFF) + item * 20_000


def element_edited(tag: int, change: Callable[[bytes, str], bytes]) -> Spoil:
    """Change the whole element (header and value) of ``tag``."""

    def edit(data: bytes, order: str, implicit: bool) -> bytes:
        walk = elements(data, 0, implicit=implicit, little_endian=order == "<")
        one = next(element for element in walk if element.tag == tag)
        end = one.start + one.length
        return data[: one.at] + change(data[one.at : end], order) + data[end:]

    return with_data_set(edit)


def _longer(by: int) -> Callable[[bytes, str], bytes]:
    """State a length that differs from the value's; the last four bytes of a header of a US are VR and length."""

    def change(element: bytes, order: str) -> bytes:
        if element[4:6].isalpha():
            return element[:6] + struct.pack(f"{order}H", by) + element[8:]
        return element[:4] + struct.pack(f"{order}L", by) + element[8:]

    return change


def values(**changes: Any) -> Spoil:
    """Set attributes by keyword without a check of the value; None removes one."""

    def spoil(body: bytes) -> bytes:
        return edited(body, lambda dataset: _set(dataset, changes))

    return spoil


def edited(body: bytes, edit: Callable[[FileDataset], None]) -> bytes:
    """Return the object, written again after ``edit``."""
    dataset = dcmread(io.BytesIO(body))
    edit(dataset)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def _set(dataset: FileDataset, changes: dict[str, Any]) -> None:
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
            continue
        vr = {"Rows": "US", "Columns": "US", "NumberOfFrames": "LO", "RescaleSlope": "LO"}.get(keyword, "LO")
        vr = "CS" if keyword == "SpecificCharacterSet" else vr
        dataset[keyword] = DataElement(keyword, vr, value, validation_mode=config.IGNORE)


def syntax_named(text: bytes) -> Spoil:
    """Name another transfer syntax, and leave the data set as it is."""

    def spoil(body: bytes) -> bytes:
        one = next(e for e in elements(body, PREFIX, implicit=False, little_endian=True) if e.tag == 0x00020010)
        padded = text + bytes(len(text) % 2)
        length = struct.pack("<H", len(padded))
        return body[: one.start - 2] + length + padded + body[one.start + one.length :]

    return spoil


ROWS = 0x00280010
DEFECTS: dict[str, Spoil] = {
    "sound": lambda body: body,
    "empty": lambda _: b"",
    "text": lambda _: f"{SECRET}: the slices are on the other disc.\n".encode() * 9,
    "no-preamble": lambda body: body[128:],
    "no-preamble-no-prefix": lambda body: body[132:],
    "meta-only": lambda body: parted(body)[0],
    "garbage-after": lambda body: body + b"\x5a" * 777,
    "cut-in-meta": lambda body: body[:200],
    "cut-at-a-quarter": lambda body: body[: len(body) // 4],
    "cut-at-half": lambda body: body[: len(body) // 2],
    "cut-at-three-quarters": lambda body: body[: len(body) * 3 // 4],
    "cut-last-byte": lambda body: body[:-1],
    "zeros-for-data": lambda body: parted(body)[0] + bytes(5000),
    "ones-for-data": lambda body: parted(body)[0] + b"\xff" * 5000,
    "no-transfer-syntax": syntax_named(b""),
    "transfer-syntax-unknown": syntax_named(b"1.2.3.4.5"),
    "transfer-syntax-text": syntax_named(SECRET.encode() * 5000),
    "named-implicit": syntax_named(uid.ImplicitVRLittleEndian.encode()),
    "named-explicit": syntax_named(uid.ExplicitVRLittleEndian.encode()),
    "named-big-endian": syntax_named(uid.ExplicitVRBigEndian.encode()),
    "named-deflated": syntax_named(uid.DeflatedExplicitVRLittleEndian.encode()),
    "named-rle": syntax_named(uid.RLELossless.encode()),
    "named-jpeg-lossless": syntax_named(uid.JPEGLosslessSV1.encode()),
    "named-jpeg-ls": syntax_named(uid.JPEGLSLossless.encode()),
    "named-jpeg-2000": syntax_named(uid.JPEG2000Lossless.encode()),
    "named-htj2k": syntax_named(uid.HTJ2KLossless.encode()),
    "named-mpeg": syntax_named(uid.MPEG4HP41.encode()),
    "sequences-5000-deep": sequences(5000, 5000),
    "sequences-unclosed": sequences(5000, 0),
    "sequences-closed-twice": sequences(3, 5),
    "sequences-of-unknown-vr": sequences(40, 40, vr=b"UN"),
    "sequence-of-no-items": sequences(1, 1, inside=b"\x77" * 64),
    "many-elements": inserted(many_elements),
    "values-without-end": inserted(endless_values),
    "length-beyond-the-end": element_edited(ROWS, _longer(0xFFFE)),
    "length-odd": element_edited(ROWS, _longer(1)),
    "length-zero": element_edited(ROWS, _longer(0)),
    "element-twice": element_edited(ROWS, lambda element, _: element * 2),
    "element-twice-and-other": element_edited(ROWS, lambda element, _: element + element[:-2] + b"\x07\x07"),
    "vr-unknown": element_edited(ROWS, lambda element, _: element[:4] + b"ZZ" + element[6:]),
    "vr-of-text": element_edited(ROWS, lambda element, _: element[:4] + b"LO" + element[6:]),
    "vr-long": element_edited(ROWS, lambda element, _: element[:4] + b"OB" + element[6:]),
    "vr-sequence": element_edited(ROWS, lambda element, _: element[:4] + b"SQ\0\0" + UNDEFINED + element[8:]),
    "vr-zeros": element_edited(ROWS, lambda element, _: element[:4] + b"\0\0" + element[6:]),
    "rows-and-columns-huge": values(Rows=65535, Columns=65535),
    "rows-and-columns-large": values(Rows=4096, Columns=4096),
    "rows-zero": values(Rows=0),
    "no-columns": values(Columns=None),
    "frames-many": values(NumberOfFrames="999999999999"),
    "frames-negative": values(NumberOfFrames="-1"),
    "frames-two-values": values(NumberOfFrames="1\\1"),
    "frames-text": values(NumberOfFrames=SECRET),
    "slope-infinite": values(RescaleSlope="1e999"),
    "slope-beyond-single": values(RescaleSlope="1e300"),
    "slope-text": values(RescaleSlope=SECRET),
    "slope-underscored": values(RescaleSlope="1_0"),
    "modality-text": values(Modality=f"{SECRET} {SECRET}"),
    "charset-unknown": values(SpecificCharacterSet=f"{SECRET} 7"),
    "charset-japanese": values(SpecificCharacterSet="\\ISO 2022 IR 87", PatientName="Yamada^Tarou=\x1b$B;3ED\x1b(B"),
    "charset-many": values(SpecificCharacterSet="\\".join(["ISO 2022 IR 58"] * 3000)),
    "uid-of-secret": values(StudyInstanceUID=SECRET, SOPInstanceUID=SECRET),
    "uid-long": values(StudyInstanceUID="1." * 5000 + "1"),
}
