"""What the models of the folds said of the slices that they were not trained on: ``out-of-fold/1``, in the artifact.

A slice is named by its line in the run's snapshot alone, which says whose it is. An erasure takes that away, and what
is left here is of nobody.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aggregation.rule import SIMPLE, Rule
from aggregation.rule import parse as parse_rule
from model_code.errors import ArtifactError
from untrusted import archive

SCHEMA = "out-of-fold/1"
FILE = "out_of_fold.json"
MOST_BYTES = 64 * 1024**2
# Of a temperature, as metadata.json has them: logits that are divided by less can become infinite.
SHARPEST, SOFTEST = 1e-3, 1e3


@dataclass(frozen=True, kw_only=True)
class Fold:
    """The model of one fold: its epoch, its temperature, and on how much it was trained and tested.

    Slices whose score is above ``threshold`` are none that it answers; None if it answers all. ``study`` is how it
    reads studies.
    """

    number: int
    epoch: int
    temperature: float
    threshold: float | None
    patients: Mapping[str, int]
    slices: Mapping[str, int]
    study: Rule = SIMPLE


@dataclass(frozen=True, kw_only=True)
class Row:
    """One slice, by its ``line`` in the snapshot; ``score`` is None where the network has no features."""

    fold: int
    logits: tuple[float, ...]
    score: float | None


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """The models of all folds, by number, and the rows by line; logits are in the order of ``labels``."""

    digest: str
    labels: tuple[str, ...]
    folds: Mapping[int, Fold]
    rows: Mapping[int, Row]

    def write(self) -> str:
        """Return the document."""
        document = {
            "Schema": SCHEMA,
            "SnapshotDigest": self.digest,
            "Labels": list(self.labels),
            "Folds": [
                {
                    "Fold": one.number,
                    "Epoch": one.epoch,
                    "Temperature": one.temperature,
                    "Threshold": one.threshold,
                    "Patients": dict(one.patients),
                    "Slices": dict(one.slices),
                    **({"Study": one.study.as_dict()} if one.study != SIMPLE else {}),
                }
                for one in self.folds.values()
            ],
            "Slices": [
                {
                    "Line": line,
                    "Fold": one.fold,
                    "Logits": list(one.logits),
                    "Score": one.score,
                }
                for line, one in self.rows.items()
            ],
        }
        return json.dumps(document, allow_nan=False) + "\n"


def find(packed: Path) -> OutOfFold | None:
    """Return what a model.tar.gz says, None if it was not trained by folds; raises ArtifactError for a malformed one.

    The archive is one whose digest is verified.
    """
    try:
        with archive.opened(packed) as tar:
            members = {member.name: member for member in archive.checked(tar)}
            if FILE not in members:
                return None
            if members[FILE].size > MOST_BYTES:
                raise ArtifactError(f"{FILE} has more than {MOST_BYTES:,} bytes.")
            stream = tar.extractfile(members[FILE])
            content = stream.read() if stream else b""
    except archive.HostileArchive as error:
        raise ArtifactError(f"{packed.name} {error}.") from error
    except archive.DAMAGED as error:
        raise ArtifactError(f"{packed.name} cannot be unpacked: {type(error).__name__} {error}.") from error
    return parse(content)


def parse(content: bytes) -> OutOfFold:
    """Return the content of FILE; raises ArtifactError when it is malformed."""
    try:
        document = json.loads(content)
        if document["Schema"] != SCHEMA:
            raise ValueError(f"its Schema is not {SCHEMA}")
        digest, labels = str(document["SnapshotDigest"]), tuple(map(str, document["Labels"]))
        if len(set(labels)) < len(labels):
            raise ValueError("a class is there twice")
        folds = {one.number: one for one in map(_fold, document["Folds"])}
        if len(folds) < len(document["Folds"]):
            raise ValueError("a fold is there twice")
        rows = {_count(one["Line"]): _row(one, folds, len(labels)) for one in document["Slices"]}
        if len(rows) < len(document["Slices"]):
            raise ValueError("a line is there twice")
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ArtifactError(f"{FILE} cannot be read: {type(error).__name__} {error}.") from error
    return OutOfFold(digest=digest, labels=labels, folds=folds, rows=rows)


def _fold(one: Mapping[str, Any]) -> Fold:
    temperature, threshold = _number(one["Temperature"]), one["Threshold"]
    if not SHARPEST <= temperature <= SOFTEST:
        raise ValueError(f"a temperature is {temperature}, not from {SHARPEST} to {SOFTEST}")
    return Fold(
        number=_count(one["Fold"]),
        epoch=_count(one["Epoch"]),
        temperature=temperature,
        threshold=None if threshold is None else _number(threshold),
        patients={str(part): _count(count) for part, count in one["Patients"].items()},
        slices={str(part): _count(count) for part, count in one["Slices"].items()},
        study=parse_rule(one["Study"]) if "Study" in one else SIMPLE,
    )


def _row(one: Mapping[str, Any], folds: Mapping[int, Fold], classes: int) -> Row:
    logits, score, fold = tuple(map(_number, one["Logits"])), one["Score"], _count(one["Fold"])
    if len(logits) != classes:
        raise ValueError(f"line {one['Line']} has not {classes} logits")
    if fold not in folds:
        raise ValueError(f"line {one['Line']} is of no fold")
    return Row(fold=fold, logits=logits, score=None if score is None else _number(score))


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r:.80} is no whole number from 0")
    return value


def _number(value: object) -> float:
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not math.isfinite(number):
        raise ValueError(f"{value!r:.80} is no finite number")
    return number
