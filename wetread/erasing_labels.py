"""Labels files without the lines of a patient or a study, found as a run finds the file that a line labels."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from functions.domain.cohort import Cohort, ObjectVersion
from functions.domain.labelling import Entry
from wetread.erasing_store import Version

LABELS_FILES = (".json", ".csv")


@dataclass(frozen=True)
class Labels:
    """One version of a labels file: how many lines name their objects, and the file without those.

    ``unsure`` says that their file's name stands in it in a way that was not understood: a person must look.
    """

    version: Version
    lines: int
    body: bytes
    unsure: bool


def without(version: Version, body: bytes, theirs: Sequence[Version], cohort: Sequence[Version]) -> Labels:
    """A labels file without the lines that label ``theirs`` among the objects of ``cohort``."""
    folder = version.key.rpartition("/")[0] + "/"
    keys = {one.key for one in theirs if one.key.startswith(folder)}
    others = {one.key for one in cohort if one.key.startswith(folder) and one not in theirs and not one.is_marker}
    if not keys:
        return Labels(version, 0, body, unsure=False)
    names = {PurePosixPath(key).name for key in keys}
    try:
        records = list(_records(version.key, body))
    except (ValueError, RecursionError, csv.Error):
        return Labels(version, 0, body, unsure=any(name.encode() in body for name in names))
    known = Cohort(folder, [ObjectVersion(key=key, version_id="", size=0) for key in sorted(keys | others)])
    entries = [_entry(number, record) for number, record in enumerate(records)]
    found, _ = known.find([entry for entry in entries if entry])
    gone = {one.entry.line for one in found if one.version.key in keys and one.version.key not in others}
    kept = [record for number, record in enumerate(records) if number not in gone]
    unsure = any(
        PurePosixPath(entry.filename.replace("\\", "/")).name in names - {PurePosixPath(key).name for key in others}
        for number, entry in enumerate(entries)
        if entry and number not in gone
    )
    return Labels(version, len(gone), _written(version.key, body, kept) if gone else body, unsure=unsure)


def _records(key: str, body: bytes) -> Iterator[Any]:
    text = body.decode("utf-8-sig")
    if key.lower().endswith(".csv"):
        yield from csv.DictReader(io.StringIO(text, newline=""), strict=True)
    else:
        document = json.loads(text)
        if not isinstance(document, list):
            raise ValueError("no list")
        yield from document


def _entry(number: int, record: Any) -> Entry | None:
    """What a line says of its file; None for a line that names none."""
    if not isinstance(record, Mapping) or not isinstance(record.get("filename"), str):
        return None
    ids = [one.strip() if isinstance(one := record.get(name), str) else "" for name in ("studyId", "seriesId")]
    return Entry(
        line=number, filename=record["filename"].strip(), label="", study_id=ids[0], series_id=ids[1], split=None
    )


def _written(key: str, body: bytes, records: Sequence[Any]) -> bytes:
    if not key.lower().endswith(".csv"):
        return json.dumps(records, indent=2, ensure_ascii=False).encode()
    header = next(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[record.get(name) or "" for name in header] for record in records])
    return out.getvalue().encode()
