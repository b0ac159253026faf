"""What a report says of the training: its figures by epoch, its settings, and who was in which part.

The settings and the figures are those of the candidate's metadata.json, the parts those of the snapshot. An artifact of
an earlier release may lack any of it: then it is left out, and the report says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from model_code.artifacts.artifact import METADATA
from model_code.artifacts.metadata import LONGEST_TEXT
from model_code.snapshot import Case, Snapshot, Split
from untrusted.archive import checked, opened

# Of more epochs every so manieth is kept, with the last.
MOST_EPOCHS = 500
MOST_SETTINGS = 100
# As evaluation/2 calls them, and as training does.
BY_EPOCH = {
    "Epoch": "epoch",
    "TrainLoss": "train_loss",
    "ValidationLoss": "val_loss",
    "ValidationBalancedAccuracy": "val_balanced_accuracy",
}
OF_VALIDATION = {"BalancedAccuracy": "val_balanced_accuracy", "Accuracy": "val_accuracy", "Loss": "val_loss"}


def read_training(archive: Path) -> dict[str, Any]:
    """Return the field Training of evaluation/2 from a model.tar.gz that has been loaded before."""
    with opened(archive) as tar:
        stream = tar.extractfile(next(member for member in checked(tar) if member.name == METADATA))
        document = json.loads(stream.read()) if stream else {}
    return training_of(document)


def training_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the field Training: Hyperparameters, Epochs, BestEpoch, History, and the figures of the Validation part.

    What metadata.json lacks is empty, or None.
    """
    record = _mapping(metadata.get("training"))
    epochs = [_numbers(one, BY_EPOCH) for one in _list(record.get("history")) if isinstance(one, Mapping)]
    epochs = [one for one in epochs if one["Epoch"] is not None]
    return {
        "Hyperparameters": _settings(record.get("hyperparameters")),
        "Epochs": len(epochs),
        "BestEpoch": _number(record.get("best_epoch")),
        "History": _thinned(epochs),
        "Validation": _numbers(_mapping(metadata.get("eval_metrics")), OF_VALIDATION),
    }


def parts_of(snapshot: Snapshot) -> dict[str, Any]:
    """Return the field Parts: slices and patients of each part, as a whole and by class."""

    def counted(cases: Iterable[Case]) -> dict[str, int]:
        some = list(cases)
        return {"Slices": len(some), "Patients": len({one.patient for one in some})}

    return {
        str(part): counted(snapshot.of(part))
        | {"ByClass": {label: counted(c for c in snapshot.of(part) if c.label == label) for label in snapshot.labels}}
        for part in Split
    }


def _settings(found: Any) -> dict[str, str | int | float]:
    """Return the hyperparameters: numbers, and short texts."""
    pairs = list(_mapping(found).items())[:MOST_SETTINGS]
    return {str(name)[:LONGEST_TEXT]: _setting(value) for name, value in pairs}


def _setting(value: Any) -> str | int | float:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = _number(value)
    return str(value)[:LONGEST_TEXT] if number is None else number


def _thinned(epochs: list[dict[str, float | None]]) -> list[dict[str, float | None]]:
    step = math.ceil(len(epochs) / MOST_EPOCHS) if epochs else 1
    return [one for number, one in enumerate(epochs, start=1) if number % step == 0 or number == len(epochs)]


def _numbers(found: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, float | None]:
    return {name: _number(found.get(called)) for name, called in names.items()}


def _number(value: Any) -> float | None:
    """Return a finite number, None for anything else."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if known else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
