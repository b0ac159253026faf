"""The PHI leak test's markers: values of an invented patient, planted into DICOM objects, and the search for them."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag

from tests.hostile.defects import DEFLATED, deflated, header, parted, syntax_of
from untrusted.walker import elements

KEY = "key"
"""The marker in the names of objects and files, and in nothing inside them."""

MARKERS: Mapping[str, str] = {
    "PatientName": "Kanarïe-Qwx^Zwëlda",
    "PatientID": "QWX/MARKER 4711",
    "PatientBirthDate": "19210913",
    "AccessionNumber": "QWXACC<0815>",
    "PatientAddress": "Qwxgasse 17 & 19",
    "OtherPatientIDs": "QWXOTHER-0042",
    "ReferringPhysicianName": "Qwxarzt^Überweis",
    "StudyDescription": 'Qwxstudie "Zwelda"',
    "ImageComments": "Qwx comment: call the marker's home",
    "private": "QWXPRIVATE+secret",
    "metadata": "qwx-metadata-marker",
    "label": "Qwxlabel Zwelda",
    KEY: "Qwx Zwélda+Kanarie",
}
"""Each value by where it is planted: a DICOM keyword, a private element, metadata, a file of labels, a key."""

IN_EVERY_OBJECT = (
    *("Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "FilterType", "PatientPosition", "ImageType"),
    *("StudyTime", "StudyID", "SeriesNumber", "PatientSize", "PatientWeight", "TimezoneOffsetFromUTC"),
    *("PatientSex", "PatientAge", "StudyDate", "IssuerOfPatientID", "InstitutionName", "WindowCenter"),
    *("KVP", "SliceThickness", "SpacingBetweenSlices", "PixelSpacing", "ReconstructionDiameter", "XRayTubeCurrent"),
    *("ExposureTime", "Exposure", "GantryDetectorTilt", "BurnedInAnnotation", "BodyPartExamined", "PatientOrientation"),
    *("PixelAspectRatio", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *(
        "SyntheticData",
        "ImagePositionPatient",
        "SliceLocation",
        "InstanceNumber",
        "AcquisitionNumber",
        "QualityControlImage",
    ),
)
"""Elements that may hold any text without a refusal of the object."""

IN_AN_OBJECT_EACH = (
    *("MediaStorageSOPClassUID", "ImageOrientationPatient"),
    *("MediaStorageSOPInstanceUID", "TransferSyntaxUID", "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID"),
    *("Modality", "StudyInstanceUID", "SeriesInstanceUID", "NumberOfFrames", "Rows", "Columns"),
    *("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType", "ImageOrientationPatient"),
)
"""Elements that decide whether an object is read: a text in each is tried with every reader, alone."""

AS: Mapping[str, Callable[[str], str]] = {
    "text": lambda number: f"Qwx {number}^Zwelda",
    "code": lambda number: f"QWX{number}",
    "digits": lambda number: number,
    "dotted": lambda number: f"1.2.0{number}",
    "long": lambda number: f"Qwx {number} " * 400,
}
"""Kinds of text: a name, a code string, a number, almost a UID, and more than the longest value."""

_ELSEWHERE = {"private", "metadata", "label", KEY}
_PRIVATE_GROUP = 0x0099
_DEPTH = 4  # a tar in a gzip in a tar, and one more
_META_GROUP = 0x0002
_META = 132  # bytes before the file meta information
_HEADER = 512  # bytes: a gzip stream's has the name of a file
_LARGEST = 256 * 1024**2  # bytes of one compressed stream that are looked at


def number_of(keyword: str) -> str:
    """Return the ten digits that only an element's marker has, whatever its kind of text."""
    return f"{zlib.crc32(keyword.encode()):010d}"


KNOWN = frozenset({*MARKERS, *IN_EVERY_OBJECT, *IN_AN_OBJECT_EACH})
"""The elements that get a marker; a reader of any other element fails tests/test_phi_leak_elements.py."""
EVERY_VALUE: Mapping[str, str] = {
    **MARKERS,
    **{keyword: number_of(keyword) for keyword in (*IN_EVERY_OBJECT, *IN_AN_OBJECT_EACH)},
}
"""The values to search for, by where they are planted."""


def with_elements(body: bytes, texts: Mapping[str, str]) -> bytes:
    """Return an object with these elements, by keyword, inserted in order or replaced."""
    meta, data = parted(body)
    syntax = syntax_of(body)
    for keyword, text in texts.items():
        if int(Tag(keyword)) >> 16 == _META_GROUP:
            return _with_element(meta, _META, keyword, text, implicit=False) + body[len(meta) :]
        data = _with_element(data, 0, keyword, text, implicit=syntax.is_implicit_VR)
    return meta + (deflated(data) if syntax == DEFLATED else data)


def _with_element(data: bytes, start: int, keyword: str, text: str, *, implicit: bool) -> bytes:
    tag, vr, value = int(Tag(keyword)), dictionary_VR(keyword).split(" ")[0], text.encode("latin-1")
    value += (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    vr = "LO" if vr in {"US", "SS"} else vr
    planted = header("<", implicit, tag, vr.encode(), len(value)) + value
    walk = elements(data, start, implicit=implicit, little_endian=True)
    after = next((one for one in walk if one.tag >= tag), None)
    if after is None:
        return data + planted
    end = after.start + after.length if after.tag == tag else after.at
    return data[: after.at] + planted + data[end:]


def spoilt(body: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Yield an object for each of IN_AN_OBJECT_EACH and kind of text: keyword, kind, and bytes."""
    for keyword in IN_AN_OBJECT_EACH:
        for form, text_of in AS.items():
            yield keyword, form, with_elements(body, {keyword: text_of(number_of(keyword))})


def planted(body: bytes, patient: str = "") -> bytes:
    """Return a DICOM object with the markers; ``patient`` is appended to its PatientID."""
    dataset = dcmread(io.BytesIO(body))
    for keyword in MARKERS.keys() - _ELSEWHERE:
        setattr(dataset, keyword, MARKERS[keyword])
    dataset.PatientID += patient
    dataset.private_block(_PRIVATE_GROUP, "QWX MARKER", create=True).add_new(1, "LO", MARKERS["private"])
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return with_elements(buffer.getvalue(), {one: AS["text"](number_of(one)) for one in IN_EVERY_OBJECT})


def _parts(value: str) -> set[str]:
    """Return the value and each part of a person's name: either identifies the patient."""
    return {value, *value.split("^")}


def _forms(part: str) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of each encoding of a value. The search folds ASCII case only, so both cases are yielded."""
    for text in (part, part.lower(), part.upper()):
        yield "plain", text.encode()
        yield "Latin-1", text.encode("latin-1")
        yield "UTF-16", text.encode("utf-16-le")
        yield "URL-encoded", quote(text, safe="").encode()
        yield "URL-encoded", quote(text).encode()
        yield "URL-encoded", quote_plus(text).encode()
        yield "JSON", (once := json.dumps(text)[1:-1]).encode()
        yield "JSON in JSON", json.dumps(once)[1:-1].encode()
        yield "HTML", html.escape(text).encode()


def _base64_forms(part: str) -> Iterator[bytes]:
    """Yield the base64 of a value at each of the three byte offsets, without the incomplete ends."""
    for encoding in ("utf-8", "latin-1"):
        value = part.encode(encoding)
        for before in range(3):
            encoded = base64.b64encode(bytes(before) + value)
            first, last = (0, 2, 3)[before], len(encoded) - (0, 3, 2)[(before + len(value)) % 3]
            yield encoded[first:last]


@dataclass(frozen=True)
class Trace:
    """One value that was found: which of MARKERS, in which encoding; never with its surroundings."""

    value: str
    encoding: str


class Search:
    """Searches bytes, and archives in them, for the markers."""

    def __init__(self, values: Mapping[str, str] = EVERY_VALUE) -> None:
        self._folded: dict[bytes, Trace] = {}
        self._exact: dict[bytes, Trace] = {}
        for name, part in ((name, part) for name, value in values.items() for part in _parts(value)):
            for form, needle in _forms(part):
                self._folded.setdefault(needle.lower(), Trace(name, form))
            for needle in _base64_forms(part):
                self._exact.setdefault(needle, Trace(name, "base64"))

    def traces(self, content: bytes, depth: int = _DEPTH) -> set[Trace]:
        """Return the traces in ``content``; of a packed file, in its header and its unpacked content."""
        inside = list(_unpacked(content)) if depth else []
        content = content[:_HEADER] if inside else content
        folded = content.lower()
        found = {trace for needle, trace in self._folded.items() if needle in folded}
        found |= {trace for needle, trace in self._exact.items() if needle in content}
        return found.union(*(self.traces(inner, depth - 1) for inner in inside))

    def masked(self, place: str) -> str:
        """Return the name of a place without markers, for reports."""
        return place if not self.traces(place.encode(), depth=0) else f"{place.split('/', 1)[0]}/(a name with it)"


def _unpacked(content: bytes) -> Iterator[bytes]:
    """Yield contents and names in a gzip stream or a tar archive."""
    if content[:2] == b"\x1f\x8b":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
                yield stream.read(_LARGEST)
        except (OSError, EOFError, zlib.error):
            return  # not a gzip stream after its first bytes
    elif content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                yield "\n".join((member.name, member.linkname, *member.pax_headers.values())).encode()
                if stream := archive.extractfile(member):
                    yield stream.read()
