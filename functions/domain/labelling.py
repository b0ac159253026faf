"""Reads a labelled manifest: JSON in the public sample's form, or CSV; each problem with its line or entry.

A problem repeats nothing of the file. With columns in the wrong order a patient's name may be where a class should be,
and problems are copied to histories, documents and mails.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aggregation.rule import SIMPLE
from functions.domain.entry import NAMES, Contradictory, check_columns, composed, entry_of
from functions.domain.errors import MalformedEntry, MalformedManifest
from functions.domain.slices import LabelledSlice
from functions.domain.table import BYTE_ORDER_MARK, decoded, lines_of, table
from functions.domain.verdict import LabelProblem, Places, Reason

MOST_ENTRIES = 50_000  # one Lambda invocation can pin more
MOST_BYTES = 32 * 1024**2  # of a manifest: 600 for each entry
MOST_VALUES = 40 * MOST_ENTRIES  # of a JSON manifest: a parsed value takes many times its bytes in memory
LONGEST_FILE_NAME = 80  # characters of a file's name in a reason


@dataclass(frozen=True)
class Labelling:
    """The entries of a manifest that can be read, a reason for each that cannot, and what they are called."""

    entries: tuple[LabelledSlice, ...]
    reasons: tuple[Reason, ...]
    places: Places


def parse(body: bytes, *, is_csv: bool, labels: Sequence[str], with_names: bool = False) -> Labelling:
    """Read a manifest, with labels among ``labels``; raise MalformedManifest if it cannot be read as a whole.

    ``with_names``: reasons name files, too, which only the person who has the files may read. Its size is bounded
    before it is parsed: a function that ends at its memory limit reports nothing.
    """
    if len(body) > MOST_BYTES:
        raise MalformedManifest(f"The manifest has more than {MOST_BYTES:,} bytes; give each slice one short entry.")
    text, _ = decoded(body)
    numbered, more = _bounded(_csv_records(text) if is_csv else _json_records(text.removeprefix(BYTE_ORDER_MARK)))
    if not numbered:
        raise MalformedManifest("The manifest names no slice; write one entry per slice.")
    if more:
        total = len(numbered) + more
        raise MalformedManifest(f"The manifest has {total} entries; one run takes at most {MOST_ENTRIES}.")
    places = Places(is_csv, {} if is_csv or not with_names else _file_names(numbered))
    spelled = {composed(label): label for label in labels}
    entries: list[LabelledSlice] = []
    reasons: list[Reason] = []
    for line, record in numbered:
        try:
            entry = entry_of(line, record, spelled)
        except MalformedEntry as error:
            reasons.append(_reason(LabelProblem.MALFORMED_ENTRY, line, str(error), places))
            continue
        unknown = [one for one in (entry.label, entry.study_label) if one and one not in labels]
        reasons += [_reason(LabelProblem.UNKNOWN_LABEL, line, _unknown(one, labels), places) for one in unknown[:1]]
        if not unknown:
            entries.append(entry)
    reasons += _half_split(entries, places)
    return Labelling(tuple(entries), tuple(reasons), places)


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
            message=f"No entry has the label {label}; label slices of every class of this stage. The label of a study "
            "is not one of its slices.",
        )
        for label in labels
        if label not in present
    ]


def contradictions(slices: Iterable[LabelledSlice], labels: Sequence[str], places: Places) -> list[Reason]:
    """Return a reason for each study of two labels, or with a slice whose label its own contradicts.

    A study of some class may have slices of the reference class: what is ill is seldom ill everywhere. All others are
    mistakes.
    """
    reference = SIMPLE.reference_of(labels)
    by_study: dict[str, list[LabelledSlice]] = defaultdict(list)
    for one in slices:
        by_study[one.study_instance_uid].append(one)
    reasons: list[Reason] = []
    for of_study in by_study.values():
        of_label = {one.study_label: one.line for one in reversed(of_study) if one.study_label}
        if len(of_label) > 1:
            what = f"label one study differently: {' and '.join(sorted(of_label))}. Keep the label that is right."
            reasons.append(_contradictory(list(of_label.values()), what, places))
        for label in of_label if len(of_label) == 1 else ():
            odd = [one for one in of_study if one.label and one.label not in {label, reference}]
            if odd:
                what = f"have slices labelled {odd[0].label} in a study labelled {label}. Correct one of the two."
                reasons.append(_contradictory([one.line for one in odd], what, places))
    return reasons


def _contradictory(lines: Sequence[int], what: str, places: Places) -> Reason:
    verb = what.replace("have ", "has ", 1) if len(lines) == 1 else what
    message = f"{places.begin(lines)} {verb}"
    return Reason(code=LabelProblem.CONTRADICTORY_LABELS, message=message, line=min(lines))


def _json_records(text: str) -> Iterable[tuple[int, Any]]:
    if sum(map(text.count, ",[{")) > MOST_VALUES:  # a value follows one of these, or a name
        raise MalformedManifest(f"The manifest has more than {MOST_VALUES:,} values; give each slice one short entry.")
    try:
        records = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "too deep"
        raise MalformedManifest(f"The manifest is not JSON ({where}).") from error
    if not isinstance(records, list):
        raise MalformedManifest("The manifest is JSON, but not an array of one entry per slice.")
    return enumerate(records, start=1)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; one that gives a name two values is marked, since Python would keep the last."""
    found = dict(pairs)
    if len(found) == len(pairs) or all(value == found[name] for name, value in pairs):
        return found
    return Contradictory(found)


def _csv_records(text: str) -> Iterable[tuple[int, Any]]:
    """Yield each record with the line at which it starts."""
    try:
        found = table(lines_of(text))
        check_columns(found.columns)
        numbers = {number: name for number, name in enumerate(found.columns) if name in NAMES}
        for row in found.rows:
            surplus = row.cells[len(found.columns) :]  # blank ones are a spreadsheet's
            whole = len(row.cells) >= len(found.columns) and not any(cell.strip() for cell in surplus)
            named = {name: row.cells[number] for number, name in numbers.items()} if whole else None
            yield row.start + 1, named or (len(row.cells), len(found.columns))
    except csv.Error as error:
        raise MalformedManifest(f"The manifest is not CSV ({error}).") from error


def _file_names(records: Iterable[tuple[int, Any]]) -> dict[int, str]:
    """Return the file name of each JSON entry that has one, by the entry's number; of a long one the end."""
    names = ((number, record.get("filename")) for number, record in records if isinstance(record, Mapping))
    return {number: name[-LONGEST_FILE_NAME:] for number, name in names if isinstance(name, str) and name.strip()}


def _half_split(entries: Sequence[LabelledSlice], places: Places) -> list[Reason]:
    """Return a reason if some entries name their split and others do not."""
    without = [entry.line for entry in entries if entry.split is None]
    if not without or len(without) == len(entries):
        return []
    message = f"Give every entry a split or none: there is none at {places.named(without)}."
    return [Reason(code=LabelProblem.MALFORMED_ENTRY, message=message, line=without[0])]


def _unknown(label: str, labels: Sequence[str]) -> str:
    """Return the problem of a label. Quoted only if it matches a class except for case, so it cannot be a name."""
    nearly = label.casefold() in {one.casefold() for one in labels}
    return f"{f'the label {label!r}' if nearly else 'its label'} is not one of {', '.join(labels)}"


def _reason(code: LabelProblem, line: int, what: str, places: Places) -> Reason:
    return Reason(code=code, message=f"{places.begin([line])}: {what}.", line=line)
