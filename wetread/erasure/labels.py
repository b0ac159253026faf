"""Labels files without the lines of a patient or a study; lines are matched to files as a training run does it.

The lines are cut out of the file's text and no other character changes. So the lines of others keep what a parser
would lose (cells beyond the header, repeated names, numbers that no float represents).
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from functions.domain.cohort import Cohort, ObjectVersion, UIDsOf
from functions.domain.entry import composed
from functions.domain.errors import MalformedManifest
from functions.domain.slices import LabelledSlice
from functions.domain.table import decoded, lines_of, table
from functions.domain.verdict import LabelProblem, Places
from wetread.erasure.store import Version

LABELS_FILES = (".json", ".csv")
JSON_SPACE = re.compile(r"[ \t\n\r]*")
# Characters before and after a name that may belong to a longer name.
NAME_BEFORE, NAME_AFTER = re.compile(r"[^\s,;|\"'<>]*\Z"), re.compile(r"\A[^\s,;|\"'<>]*")
LONGEST_KEY = 1024
DICOM_LETTERS = slice(128, 132)


@dataclass(frozen=True)
class Labels:
    """One version of a labels file: how many lines name the subject's objects, and the file without them.

    ``unsure``: it was not understood, or a name of the subject is left in it; a person must look.
    """

    version: Version
    lines: int
    body: bytes
    unsure: bool


@dataclass(frozen=True)
class _Record:
    """One line: its range in the text, its values by name, and all its texts."""

    start: int
    end: int
    values: Any
    texts: Sequence[str] = field(repr=False)


def without(
    version: Version,
    body: bytes,
    theirs: Sequence[Version],
    cohort: Sequence[Version],
    uids_of: UIDsOf | None = None,
) -> Labels:
    """Return a labels file without the lines that label ``theirs`` among the objects of ``cohort``.

    ``uids_of`` reads headers where lines name files by their UIDs.
    """
    folder = version.key.rpartition("/")[0] + "/"
    keys = {one.key for one in theirs if one.key.startswith(folder)}
    others = {one.key for one in cohort if one.key.startswith(folder) and one not in theirs and not one.is_marker}
    if not keys or body[DICOM_LETTERS] == b"DICM":  # a DICOM object with the name of a labels file
        return Labels(version, 0, body, unsure=False)
    try:
        text, encoding = decoded(body)
        is_csv = version.key.lower().endswith(".csv")
        records, around = _csv_records(text) if is_csv else _json_records(text)
    except (MalformedManifest, ValueError, RecursionError, csv.Error):
        return Labels(version, 0, body, unsure=True)
    gone, unsure = _found(records, folder, keys, others, uids_of)
    kept = [text for number, record in enumerate(records) if number not in gone for text in record.texts]
    unsure = unsure or _is_named([*around, *kept], _names(folder, keys, others), others)
    if not gone:
        return Labels(version, 0, body, unsure=unsure)
    cut = _cut_lines(text, records, gone) if is_csv else _cut_elements(text, records, gone)
    return Labels(version, len(gone), cut.encode(encoding), unsure=unsure)


def _found(
    records: Sequence[_Record], folder: str, keys: set[str], others: set[str], uids_of: UIDsOf | None
) -> tuple[set[int], bool]:
    """Return the numbers of the records that label ``keys``, and whether one may label these or ``others``."""
    known = Cohort(folder, [ObjectVersion(key=key, version_id="", size=0) for key in sorted(keys | others)])
    entries = {number: entry for number, one in enumerate(records) if (entry := _entry(number, one.values))}
    found, reasons = known.find(entries.values(), Places(), uids_of)
    gone = {one.line for one in found if one.key in keys and one.key not in others}
    ambiguous = [
        entries[one.line] for one in reasons if one.code == LabelProblem.AMBIGUOUS_FILE and one.line in entries
    ]
    names = {composed(_name(key)) for key in keys}
    return gone, any(composed(_name(entry.filename.replace("\\", "/"))) in names for entry in ambiguous)


def _entry(number: int, record: Any) -> LabelledSlice | None:
    """Return the file that a line names, or None."""
    if not isinstance(record, Mapping) or not isinstance(record.get("filename"), str):
        return None
    ids = [one.strip() if isinstance(one := record.get(name), str) else "" for name in ("studyId", "seriesId")]
    return LabelledSlice(line=number, label="", filename=record["filename"].strip(), study_id=ids[0], series_id=ids[1])


def _csv_records(text: str) -> tuple[list[_Record], list[str]]:
    """Return the records of a CSV file without its header line, and the texts of that line.

    Raises csv.Error if quotes do not match or a cell is longer than the csv module reads.
    """
    lines = lines_of(text)
    starts = [0, *itertools.accumulate(map(len, lines))]
    found = table(lines)
    # The last of repeated columns counts.
    records = [
        _Record(starts[row.start], starts[row.end], dict(zip(found.columns, row.cells, strict=False)), row.cells)
        for row in found.rows
    ]
    return records, list(found.columns)


def _cut_lines(text: str, records: Sequence[_Record], gone: set[int]) -> str:
    ends = [0, *(records[number].end for number in sorted(gone))]
    starts = [*(records[number].start for number in sorted(gone)), len(text)]
    return "".join(text[end:start] for end, start in zip(ends, starts, strict=True))


def _json_records(text: str) -> tuple[list[_Record], list[str]]:
    """Return a JSON array's elements; of another document none, and its texts. Raises ValueError for bad JSON."""
    texts: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        texts.extend(_texts(found))  # here, since of a name that comes twice the object keeps one
        return dict(found)

    # Numbers stay texts: one may have more digits than an int or a float takes.
    decoder = json.JSONDecoder(object_pairs_hook=pairs, parse_int=str, parse_float=str)
    at = _after_space(text, 1 if text.startswith("\ufeff") else 0)
    if text[at : at + 1] != "[":
        document, end = decoder.raw_decode(text, at)
        if _after_space(text, end) < len(text):
            raise ValueError("more than one JSON document")
        return [], [*texts, *_texts(document)]
    records: list[_Record] = []
    at = _after_space(text, at + 1)
    while records or text[at : at + 1] != "]":
        texts.clear()
        values, end = decoder.raw_decode(text, at)
        records.append(_Record(at, end, values, [*texts, *_texts(values)]))
        at = _after_space(text, end)
        if text[at : at + 1] == "]":
            break
        if text[at : at + 1] != ",":
            raise ValueError("no comma between two elements")
        at = _after_space(text, at + 1)
    if _after_space(text, at + 1) < len(text):
        raise ValueError("text after the array")
    return records, []


def _after_space(text: str, at: int) -> int:
    match = JSON_SPACE.match(text, at)
    return match.end() if match else at


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a value and of the arrays in it; those of objects have been met when the objects were read."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list | tuple):
            waiting += one


def _cut_elements(text: str, records: Sequence[_Record], gone: set[int]) -> str:
    """Return the array without some elements; each kept element keeps the separator before it."""
    kept = [text[: records[0].start]]
    for number, one in enumerate(records):
        if number not in gone:
            separator = text[records[number - 1].end : one.start] if len(kept) > 1 else ""
            kept.append(separator + text[one.start : one.end])
    return "".join(kept) + text[records[-1].end :]


def _names(folder: str, keys: Iterable[str], others: Iterable[str]) -> set[str]:
    """Return the file names that only ``keys`` have, and their paths below the folder."""
    names = {_folded(_name(key)) for key in keys} - {_folded(_name(key)) for key in others}
    paths = {_folded(key.removeprefix(folder)) for key in keys}
    return names | {path for path in paths if "/" in path}


def _is_named(texts: Iterable[str], names: Iterable[str], others: Iterable[str]) -> bool:
    """Return whether a name is in the texts, in any case, outside of a name of one of ``others``."""
    whole = _folded("\n".join(texts).replace("\\", "/"))
    known = {ending for key in others for ending in _endings(_folded(key))}
    for name in names:
        at = whole.find(name)
        while at >= 0:
            end = at + len(name)
            before = NAME_BEFORE.findall(whole[max(0, at - LONGEST_KEY) : at])[0]
            after = NAME_AFTER.findall(whole[end : end + LONGEST_KEY])[0]
            said = before + name + after
            is_known = said in known or ("/" not in name and _name(said) in known)
            if not (is_known or before[-1:].isalnum() or after[:1].isalnum()):
                return True
            at = whole.find(name, end)
    return False


def _endings(key: str) -> Iterator[str]:
    """Yield a path, and the path without its first folders."""
    parts = key.split("/")
    return ("/".join(parts[at:]) for at in range(len(parts)))


def _folded(text: str) -> str:
    """Return a text in the form in which names are compared: composed, and without upper case."""
    return composed(composed(text).casefold())


def _name(key: str) -> str:
    return PurePosixPath(key).name
