"""Reads a labelled manifest: JSON in the public sample's form, or CSV; each problem with its line.

A problem repeats nothing of the file. With columns in the wrong order a patient's name may be where a class should be,
and problems are copied to histories, documents and mails.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.domain.errors import MalformedManifest
from functions.domain.slices import LabelledSlice, Split
from functions.domain.verdict import LabelProblem, Reason, lines_of

CONTENT_TYPE = "classification"
REQUIRED_COLUMNS = ("filename", "label")
OPTIONAL_COLUMNS = ("studyId", "seriesId", "split")
LONGEST_TEXT = 1024  # characters of any value: what an S3 key may have
MOST_ENTRIES = 50_000  # one Lambda invocation can pin more
MOST_BYTES = 32 * 1024**2  # of a manifest: 600 for each entry
MOST_VALUES = 40 * MOST_ENTRIES  # of a JSON manifest: a parsed value takes many times its bytes in memory


class _MalformedEntry(Exception):
    """One entry cannot be read; the message follows "Line 7: "."""


@dataclass(frozen=True)
class Labelling:
    """The entries of a manifest that can be read, and a reason for each that cannot."""

    entries: tuple[LabelledSlice, ...]
    reasons: tuple[Reason, ...]


def parse(body: bytes, *, is_csv: bool, labels: Sequence[str]) -> Labelling:
    """Read a manifest, with labels among ``labels``; raise MalformedManifest if it cannot be read as a whole.

    Its size is bounded before it is parsed: a function that ends at its memory limit reports nothing.
    """
    if len(body) > MOST_BYTES:
        raise MalformedManifest(f"The manifest has more than {MOST_BYTES:,} bytes; give each slice one short entry.")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise MalformedManifest(f"The manifest is not UTF-8 text (line {line}); save it as UTF-8.") from error
    numbered, more = _bounded(_csv_records(text) if is_csv else _json_records(text))
    if not numbered:
        raise MalformedManifest("The manifest names no slice; write one entry per slice.")
    if more:
        total = len(numbered) + more
        raise MalformedManifest(f"The manifest has {total} entries; one run takes at most {MOST_ENTRIES}.")
    entries: list[LabelledSlice] = []
    reasons: list[Reason] = []
    for line, record in numbered:
        try:
            entry = _entry(line, record)
        except _MalformedEntry as error:
            reasons.append(_reason(LabelProblem.MALFORMED_ENTRY, line, str(error)))
            continue
        if entry.label in labels:
            entries.append(entry)
        else:
            reasons.append(_reason(LabelProblem.UNKNOWN_LABEL, line, _unknown(entry.label, labels)))
    reasons += _half_split(entries)
    return Labelling(tuple(entries), tuple(reasons))


def _bounded(records: Iterable[tuple[int, Any]]) -> tuple[list[tuple[int, Any]], int]:
    """Return the first MOST_ENTRIES records, and how many more there are."""
    rest = iter(records)
    return list(itertools.islice(rest, MOST_ENTRIES)), sum(1 for _ in rest)


def missing_classes(entries: Iterable[LabelledSlice], labels: Sequence[str]) -> list[Reason]:
    """Return a reason for each class that no entry has: a model cannot learn it."""
    present = {entry.label for entry in entries}
    return [
        Reason(
            code=LabelProblem.MISSING_CLASS,
            message=f"No entry has the label {label}; label slices of every class of this stage.",
        )
        for label in labels
        if label not in present
    ]


def _json_records(text: str) -> Iterable[tuple[int, Any]]:
    if sum(map(text.count, ",[{")) > MOST_VALUES:  # a value follows one of these, or a name
        raise MalformedManifest(f"The manifest has more than {MOST_VALUES:,} values; give each slice one short entry.")
    try:
        records = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "too deep"
        raise MalformedManifest(f"The manifest is not JSON ({where}).") from error
    if not isinstance(records, list):
        raise MalformedManifest("The manifest is JSON, but not an array of one entry per slice.")
    return ((line, _flat(record)) for line, record in enumerate(records, start=1))


def _flat(record: Any) -> Any:
    """Return the sample's nested form as one level, and any other record unchanged."""
    if not isinstance(record, Mapping) or not isinstance(record.get("content"), Mapping):
        return record
    content = record["content"]
    if content.get("type") != CONTENT_TYPE:
        return record
    return {**record, "label": content.get("label")}


def _csv_records(text: str) -> Iterable[tuple[int, Any]]:
    """Yield each record with the line at which it starts: quoted values may span several lines."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_columns(header)
        start = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                whole = len(cells) == len(header)
                yield start, dict(zip(header, cells, strict=True)) if whole else (len(cells), len(header))
            start = reader.line_num + 1
    except csv.Error as error:
        raise MalformedManifest(f"The manifest is not CSV (line {reader.line_num}): {error}.") from error


def _check_columns(header: list[str]) -> None:
    known = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
    unknown = [str(number) for number, name in enumerate(header, start=1) if name not in known]
    missing = [name for name in REQUIRED_COLUMNS if name not in header]
    if unknown or missing or len(set(header)) < len(header):
        what = [f"lacks {', '.join(missing)}"] if missing else []
        amount = "an unknown one, number" if len(unknown) == 1 else "unknown ones, numbers"
        what += [f"has {amount} {', '.join(unknown)}"] if unknown else []
        what += ["repeats one"] if len(set(header)) < len(header) else []
        raise MalformedManifest(
            f"The first line must name the columns, separated by commas ({', '.join(known)}; the first two at least); "
            f"it {' and '.join(what)}."
        )


def _entry(line: int, record: Any) -> LabelledSlice:
    if isinstance(record, tuple):
        raise _MalformedEntry(f"it has {record[0]} cells, the header {record[1]}")
    if not isinstance(record, Mapping):
        raise _MalformedEntry("it is not an object")
    if "label" not in record:
        raise _MalformedEntry(f"it has no content of the type {CONTENT_TYPE!r} with a label")
    split = _text(record, "split", optional=True)
    if split and split not in set(Split):
        raise _MalformedEntry(f"its split is not one of {', '.join(Split)}")
    return LabelledSlice(
        line=line,
        filename=_text(record, "filename"),
        label=_text(record, "label"),
        study_id=_text(record, "studyId", optional=True),
        series_id=_text(record, "seriesId", optional=True),
        split=Split(split) if split else None,
    )


def _text(record: Mapping[str, Any], name: str, *, optional: bool = False) -> str:
    value = record.get(name)
    if value is None and optional:
        return ""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not (value.strip() or optional):
        raise _MalformedEntry(f"its {name} is not a text of 1 to {LONGEST_TEXT} characters")
    return value.strip()


def _half_split(entries: Sequence[LabelledSlice]) -> list[Reason]:
    """Return a reason if some entries name their split and others do not."""
    without = [entry.line for entry in entries if entry.split is None]
    if not without or len(without) == len(entries):
        return []
    message = f"Give every entry a split or none: there is none at {lines_of(without)}."
    return [Reason(code=LabelProblem.MALFORMED_ENTRY, message=message, line=without[0])]


def _unknown(label: str, labels: Sequence[str]) -> str:
    """Return the problem of a label. Quoted only if it matches a class except for case, so it cannot be a name."""
    nearly = label.casefold() in {one.casefold() for one in labels}
    return f"{f'the label {label!r}' if nearly else 'its label'} is not one of {', '.join(labels)}"


def _reason(code: LabelProblem, line: int, what: str) -> Reason:
    return Reason(code=code, message=f"Line {line}: {what}.", line=line)
