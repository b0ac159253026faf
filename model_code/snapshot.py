"""Reads ``snapshot/1``: the frozen list of labelled slices that one run audits, trains and evaluates on.

The document pins every slice by the SHA-256 of its bytes, and itself by a digest over everything that decides the run.
It is checked here completely, so that the commands need not check again.
"""

from __future__ import annotations

import enum
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_code.errors import SnapshotError

SCHEMA = "snapshot/1"
# Not part of the digest: itself, and when the snapshot was taken.
UNDIGESTED = frozenset({"Digest", "CreatedAt"})
SLICE_NAME = re.compile(r"[0-9a-f]{32}\.dcm")
SHA256 = re.compile(r"[0-9a-f]{64}")
SHOWN_PROBLEMS = 20
FOLDS = range(3, 11)  # how many there may be


class Split(enum.StrEnum):
    """The part of the run that uses a slice."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class SplitBy(enum.StrEnum):
    """How the split was made: by whole patients, by single slices (too few patients), or by the manifest's author."""

    PATIENT = "Patient"
    SLICE = "Slice"
    MANIFEST = "Manifest"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One labelled slice. ``line``: its line in the manifest; ``patient``: a keyed hash.

    ``fold``: in which it is tested, from 1; 0 where there is a test part instead. ``study`` and ``series`` are UIDs,
    "" if the header has none. ``study_label`` is what its study shows, "" if nobody said it.
    """

    line: int
    name: str
    content_sha256: str
    label: str
    split: Split
    patient: str
    fold: int = 0
    study: str = ""
    series: str = ""
    study_label: str = ""

    @property
    def part(self) -> str:
        """The part that shares no patient with another: the fold, or else training, validation or test."""
        return f"fold {self.fold}" if self.fold else str(self.split)

    def read(self, folder: Path) -> bytes:
        """Return the slice's bytes from ``folder``; raises SnapshotError if they are absent or not the snapshot's."""
        try:
            body = (folder / self.name).read_bytes()
        except FileNotFoundError:
            raise SnapshotError(
                f"line {self.line}: {self.name} is not among the slices of the job: it was erased, or it "
                "expired (slices_kept_days). Start the run again."
            ) from None
        found = hashlib.sha256(body).hexdigest()
        if found != self.content_sha256:
            raise SnapshotError(
                f"line {self.line}: {self.name} has the sha256 {found}, the snapshot says {self.content_sha256}: "
                "its bytes were changed after the snapshot. Start the run again."
            )
        return body


@dataclass(frozen=True, kw_only=True)
class InitialWeights:
    """The file that the training starts from: the SHA-256 (hex) of its bytes, and under what licence it is used."""

    sha256: str
    licence: str

    def as_dict(self) -> dict[str, str]:
        """Return the record for metadata.json."""
        return {"sha256": self.sha256, "licence": self.licence}


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The checked document: ``labels`` in the order of the model's outputs, ``cases`` in the manifest's order.

    ``initial_weights`` is None for a training that starts from nothing.
    With ``folds`` every case is tested once and there is no test part; else 0. ``unlabelled`` are slices without a
    label of their own, in studies that have one: they are no cases, and only whole studies are made of them.
    """

    digest: str
    labels: tuple[str, ...]
    seed: int
    split_by: SplitBy
    cases: tuple[Case, ...]
    initial_weights: InitialWeights | None = None
    folds: int = 0
    unlabelled: tuple[Case, ...] = ()

    def of(self, split: Split) -> tuple[Case, ...]:
        """Return the cases of one split, in the manifest's order."""
        return tuple(case for case in self.cases if case.split is split)

    @property
    def tested(self) -> tuple[Case, ...]:
        """The cases that models are measured on: the test part, or with folds all."""
        return self.cases if self.folds else self.of(Split.TEST)


def read(path: Path) -> Snapshot:
    """Return the checked snapshot.json; raises one SnapshotError with every problem, bad slices by their lines."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SnapshotError(f"There is no {path.name} in the channel or input named snapshot.") from None
    except ValueError as error:
        raise SnapshotError(f"{path.name} is not JSON: {error}.") from error
    return parse(document)


def parse(document: Any) -> Snapshot:
    """Return a checked snapshot/1 document; raises SnapshotError as ``read`` does."""
    if not isinstance(document, dict) or document.get("Schema") != SCHEMA:
        schema = document.get("Schema") if isinstance(document, dict) else type(document).__name__
        raise SnapshotError(f"The snapshot's Schema is {schema!r}; this image reads {SCHEMA!r}.")
    digest = digest_of(document)
    if document.get("Digest") != digest:
        raise SnapshotError(
            f"The snapshot's Digest is {document.get('Digest')!r}, but its content has {digest!r}: it was changed "
            "after it was taken. Start the run again."
        )
    problems: list[str] = []
    labels = _labels(document, problems)
    seed = document.get("Seed")
    if type(seed) is not int or seed < 0:
        problems.append(f"Seed is {seed!r}, not a whole number from 0")
    split_by = document.get("SplitBy")
    if split_by not in list(SplitBy):
        problems.append(f"SplitBy is {split_by!r}, not one of {', '.join(SplitBy)}")
    initial_weights = _initial_weights(document, problems)
    folds = _folds(document, problems)
    cases = _cases(document, labels, folds, problems)
    if problems:
        more = f"; and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        raise SnapshotError(f"The snapshot is malformed: {'; '.join(problems[:SHOWN_PROBLEMS])}{more}.")
    return Snapshot(
        digest=digest,
        labels=labels,
        seed=int(seed or 0),
        split_by=SplitBy(str(split_by)),
        cases=tuple(case for case in cases if case.label),
        unlabelled=tuple(case for case in cases if not case.label),
        initial_weights=initial_weights,
        folds=folds,
    )


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the hex SHA-256 of the document's canonical JSON, without Digest and CreatedAt."""
    digested = {name: value for name, value in document.items() if name not in UNDIGESTED}
    return hashlib.sha256(json.dumps(digested, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _labels(document: Mapping[str, Any], problems: list[str]) -> tuple[str, ...]:
    labels = document.get("Labels")
    texts = isinstance(labels, list) and all(isinstance(label, str) and label for label in labels)
    if not isinstance(labels, list) or not texts or len(labels) < 2 or len(set(labels)) < len(labels):
        problems.append(f"Labels is {labels!r}, not a list of two or more different classes")
        return ()
    return tuple(labels)


def _initial_weights(document: Mapping[str, Any], problems: list[str]) -> InitialWeights | None:
    record = document.get("InitialWeights")
    if record is None:
        return None
    try:
        if not isinstance(record, dict):
            raise ValueError(f"it is a {type(record).__name__}, not an object")
        sha256 = _matching(record, "SHA256", SHA256, "64 hexadecimal digits")
        return InitialWeights(sha256=sha256, licence=_text(record, "Licence"))
    except ValueError as error:
        problems.append(f"InitialWeights: {error}")
        return None


def _folds(document: Mapping[str, Any], problems: list[str]) -> int:
    folds = document.get("Folds", 0)
    if type(folds) is not int or folds not in (0, *FOLDS):
        problems.append(f"Folds is {folds!r}, not a whole number from {FOLDS[0]} to {FOLDS[-1]}")
        return 0
    return folds


def _cases(document: Mapping[str, Any], labels: tuple[str, ...], folds: int, problems: list[str]) -> tuple[Case, ...]:
    entries = document.get("Slices")
    if not isinstance(entries, list) or not entries:
        problems.append("Slices is not a list of one entry per slice")
        return ()
    cases: list[Case] = []
    for number, entry in enumerate(entries, start=1):
        try:
            cases.append(_case(entry, labels, folds))
        except ValueError as error:
            line = entry.get("Line") if isinstance(entry, dict) else None
            problems.append(f"{f'line {line}' if line is not None else f'slice number {number}'}: {error}")
    for what, values in (("Line", [case.line for case in cases]), ("Slice", [case.name for case in cases])):
        problems += [
            f"the {what} {value} is there {count} times" for value, count in Counter(values).items() if count > 1
        ]
    return tuple(cases)


def _case(entry: Any, labels: tuple[str, ...], folds: int) -> Case:
    """Return one entry of Slices; raises ValueError with what is wrong with it."""
    if not isinstance(entry, dict):
        raise ValueError(f"it is a {type(entry).__name__}, not an object")
    line = entry.get("Line")
    if type(line) is not int or line < 1:
        raise ValueError(f"Line is {line!r}, not a whole number from 1")
    study_label = _text_or_none(entry, "StudyLabel")
    label = _text_or_none(entry, "Label") if study_label else _text(entry, "Label")
    for name, given in (("Label", label), ("StudyLabel", study_label)):
        if given and labels and given not in labels:
            raise ValueError(f"{name} {given!r} is not one of {', '.join(labels)}")
    split = _text(entry, "Split")
    if split not in list(Split):
        raise ValueError(f"Split {split!r} is not one of {', '.join(Split)}")
    fold = entry.get("Fold", 0)
    if type(fold) is not int or not (1 <= fold <= folds if folds else fold == 0):
        raise ValueError(f"Fold is {fold!r}, not a whole number from 1 to {folds}" if folds else "it has a Fold")
    if folds and split == Split.TEST:
        raise ValueError("Split is test, although every slice is tested in its fold")
    return Case(
        line=line,
        name=_matching(entry, "Slice", SLICE_NAME, "32 hexadecimal digits and .dcm"),
        content_sha256=_matching(entry, "ContentSHA256", SHA256, "64 hexadecimal digits"),
        label=label,
        split=Split(split),
        patient=_text(entry, "Patient"),
        fold=fold,
        study=_text_or_none(entry, "StudyInstanceUID"),
        series=_text_or_none(entry, "SeriesInstanceUID"),
        study_label=study_label,
    )


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is {value!r}, not a text")
    return value


def _text_or_none(entry: Mapping[str, Any], name: str) -> str:
    """Return a text that may be absent or empty; raises ValueError for anything else."""
    return _text(entry, name) if entry.get(name) else ""


def _matching(entry: Mapping[str, Any], name: str, pattern: re.Pattern[str], expected: str) -> str:
    value = _text(entry, name)
    if not pattern.fullmatch(value):
        raise ValueError(f"{name} is {value!r}, not {expected}")
    return value
