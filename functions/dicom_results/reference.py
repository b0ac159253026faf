"""The patient's and study's attributes that results copy from one object, from whatever its header has.

highdicom refuses headers that lack attributes or have odd values. A value that cannot be copied becomes empty, and a
note has its keyword, never the value. PatientID and its issuer are the exception: under others an archive would file
the results with another patient.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from highdicom import SpecificCharacterSetValues
from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.valuerep import TEXT_VR_DELIMS, PersonName

from functions.dicom_results.quiet import quietly
from functions.dicom_results.refused import NoResultsCode, no_results
from untrusted.attributes import IDENTITY
from untrusted.header import NO_VALUE, Header

# highdicom does not know all that DICOM defines, and refuses a multi-byte set as the first of several.
WRITABLE = frozenset(one.value for one in SpecificCharacterSetValues)
NEVER_FIRST = frozenset({"ISO 2022 IR 87", "ISO 2022 IR 159", "ISO 2022 IR 149", "ISO 2022 IR 58"})
WITHOUT_EXTENSIONS = ""  # the first value may be empty: the default repertoire, with code extensions (ISO 2022 IR 6)
UTF8 = "ISO_IR 192"
SEXES = frozenset({"M", "F", "O"})
NOT_CODED = "O"
VALUES_END = "\\"
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"([01]\d|2[0-3])(?::?([0-5]\d)(?::?([0-5]\d|60)(\.\d{1,6})?)?)?")
_AGE = re.compile(r"\d{3}[DWMY]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")
_OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
LONGEST_NUMBER = 16
REPLACED = "\ufffd"  # what a decoder writes for bytes that are no text of its set

PATIENT = ("PatientID", "IssuerOfPatientID")  # which together identify a patient
REQUIRED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
"""Attributes that every object has, empty if the reference has no usable value (type 2)."""
OPTIONAL = (
    *("IssuerOfPatientID", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight"),
    *("BodyPartExamined", "TimezoneOffsetFromUTC"),
)
"""Attributes that are copied where the reference has a usable value."""
NAMES = frozenset({"PatientName", "ReferringPhysicianName"})
WANTED: Mapping[str, int] = IDENTITY | {
    keyword: int(tag_for_keyword(keyword) or 0)
    for keyword in ("SpecificCharacterSet", "SeriesNumber", *REQUIRED, *OPTIONAL)
}
"""The tags that the reader of headers is asked for, by keyword."""


def reference_of(header: Header) -> tuple[Dataset, tuple[str, ...]]:
    """Return the attributes that results copy, and the keywords of those whose values were not usable.

    Raise NoResults for a PatientID, or an issuer of it, that is there and cannot be copied as it is.
    """
    with quietly():
        return _Copying(header).run()


class _Copying:
    """One header on its way into a data set."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._notes: list[str] = []
        self._sets = self._character_sets()
        self._encodings: Sequence[str] = convert_encodings(self._sets or None)

    def run(self) -> tuple[Dataset, tuple[str, ...]]:
        for keyword in PATIENT:
            text = self._text(keyword)
            if self._header.text(keyword) and (not text or VALUES_END in text):
                raise no_results(NoResultsCode.UNUSABLE_IDENTITY)
        dataset = Dataset()
        if self._sets:
            dataset.SpecificCharacterSet = _writable(self._sets)
        for keyword in REQUIRED:
            setattr(dataset, keyword, self._value(keyword))
        for keyword in OPTIONAL:
            if value := self._value(keyword):
                setattr(dataset, keyword, value)
        return dataset, tuple(self._notes)

    def _character_sets(self) -> list[str]:
        """Return the character sets that the header states; none if one of them is not a defined term."""
        text = self._header.text("SpecificCharacterSet")
        if not text:
            return []
        stated = [one.strip() for one in text.split(VALUES_END)]
        if stated[0] == WITHOUT_EXTENSIONS:
            stated[0] = SpecificCharacterSetValues.DEFAULT_REPERTOIRE_CODE_EXTENSIONS.value
        # Two values have no meaning for a set without code extensions.
        several = len(stated) > 1 and not all(one.startswith("ISO 2022 ") for one in stated)
        if several or not python_encoding.keys() >= set(stated):
            self._notes.append("SpecificCharacterSet")
            return []
        return stated

    def _value(self, keyword: str) -> str:
        """Return a value that may be written; "" for none. A value that is not the stated one leaves a note."""
        stated = self._header.text(keyword)
        text = self._text(keyword)
        value = _RULES.get(keyword, _as_is)(text.split(VALUES_END)[0].strip())
        if stated and (not value or VALUES_END in text or (keyword == "PatientSex" and value != text.upper())):
            self._notes.append(keyword)
        return value

    def _text(self, keyword: str) -> str:
        """Return all values of an attribute; "" if they are not text of the header's character set."""
        stated = self._header.text(keyword)
        if stated in {"", NO_VALUE}:
            return ""
        raw = stated.encode("latin-1")
        try:
            if not self._sets:
                text = raw.decode("ascii")
            elif keyword in NAMES:
                text = str(PersonName(raw, self._encodings))
            else:
                text = decode_bytes(raw, self._encodings, TEXT_VR_DELIMS)
        except (UnicodeError, LookupError, ValueError):
            return ""
        return "" if REPLACED in text or _CONTROLS.search(text) else text


def speaking(reference: Dataset, texts: Iterable[str]) -> Dataset:
    """Return the reference with a character set that has the results' own texts too: its own, or else UTF-8.

    The names of classes may be in any script.
    """
    encodings = convert_encodings(reference.get("SpecificCharacterSet"))
    try:
        for text in texts:
            text.encode("ascii" if "SpecificCharacterSet" not in reference else encodings[0])
    except UnicodeEncodeError:
        found = Dataset()
        found.update(reference)
        found.SpecificCharacterSet = UTF8
        return found
    return reference


def _writable(sets: Sequence[str]) -> str | list[str]:
    """Return the value of SpecificCharacterSet: the stated one, or UTF-8 in its place."""
    if not WRITABLE.issuperset(sets) or (len(sets) > 1 and sets[0] in NEVER_FIRST):
        return UTF8
    return list(sets) if len(sets) > 1 else sets[0]


def _as_is(text: str) -> str:
    return text


def _date(text: str) -> str:
    """Return a date as DICOM writes it now; those of before 1993 have full stops."""
    found = _DATE.fullmatch(text)
    if not found:
        return ""
    date = "".join(found.groups())
    try:
        datetime.strptime(date, "%Y%m%d")
    except ValueError:
        return ""
    return date


def _time(text: str) -> str:
    """Return a time without the colons of before 1993."""
    found = _TIME.fullmatch(text)
    return "".join(filter(None, found.groups())) if found else ""


def _sex(text: str) -> str:
    return text.upper() if text.upper() in SEXES else NOT_CODED if text else ""


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    return lambda text: text if pattern.fullmatch(text) else ""


def _number(text: str) -> str:
    return text if len(text) <= LONGEST_NUMBER and _NUMBER.fullmatch(text) else ""


_RULES: Mapping[str, Callable[[str], str]] = {
    "PatientBirthDate": _date,
    "StudyDate": _date,
    "StudyTime": _time,
    "PatientSex": _sex,
    "PatientAge": _matching(_AGE),
    "PatientSize": _number,
    "PatientWeight": _number,
    "BodyPartExamined": _matching(_CODE),
    "TimezoneOffsetFromUTC": _matching(_OFFSET),
}
