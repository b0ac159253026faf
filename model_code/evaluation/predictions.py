"""Loads the candidate and the champion and predicts the same slices with both, each with its own preprocessing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from model_code import calibration
from model_code.artifacts.artifact import sha256_of
from model_code.artifacts.packing import unpack
from model_code.backends.backend import Outputs
from model_code.errors import ArtifactError, EvaluationError, InstanceError
from model_code.evaluation.attributes import ATTRIBUTES, KEYWORDS, read_attributes
from model_code.evaluation.document import Predictions, TestSet
from model_code.inference import Model, model_fn
from model_code.reading.ct_slice import CTSlice, read_slice
from model_code.reading.dicom import KEYWORDS as PIXEL_KEYWORDS
from model_code.reading.elements import read_elements
from model_code.snapshot import Case

# Slices that are decoded and predicted in one batch; only these are in memory with their pixels.
BATCH = 16
THREADS = 2
SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class Slice:
    """One decoded test slice and the subgroups it belongs to."""

    ct_slice: CTSlice
    attributes: Mapping[str, str]


def load_model(archive: Path, role: str, labels: tuple[str, ...], digest: str) -> Model:
    """Load the ``role`` ("candidate" or "champion") from its model.tar.gz with the SHA-256 (hex) ``digest``.

    Raises EvaluationError for another file than the run's, before it is opened, for one that is missing or unsound, and
    for classes other than ``labels``, in any order.
    """
    if not archive.is_file():
        raise EvaluationError(f"There is no {archive.name} in the input named {role}.")
    found = sha256_of(archive)
    if found != digest:
        raise EvaluationError(
            f"The {archive.name} in the input named {role} has the SHA-256 {found}, the run's {role} "
            f"{digest or 'is not known'}: it was replaced. Find out by whom, then start the run again."
        )
    try:
        with tempfile.TemporaryDirectory() as folder:
            unpack(archive, Path(folder))
            model = model_fn(folder)
    except ArtifactError as error:
        advice = "Promote or roll back to a version that this image loads" if role == "champion" else "Train it again"
        raise EvaluationError(f"The {role} cannot be loaded: {error} {advice}, then start the run again.") from error
    if sorted(model.labels) != sorted(labels):
        raise EvaluationError(
            f"The {role} has the classes {', '.join(model.labels)}, the snapshot {', '.join(labels)}: they cannot be "
            "measured on the same slices. Label the same classes, or use a separate stage for these."
        )
    return model


def read_slices(cases: Sequence[Case], folder: Path) -> Iterator[list[Slice]]:
    """Yield the decoded cases, in order, in lists of at most BATCH.

    Raises SnapshotError for bytes that are not the snapshot's, and at the end EvaluationError with every slice that
    cannot be decoded.
    """
    problems: list[str] = []
    with ThreadPoolExecutor(THREADS) as threads:
        for start in range(0, len(cases), BATCH):
            batch: list[Slice] = []
            for one in threads.map(lambda case: _read(case, folder), cases[start : start + BATCH]):
                if isinstance(one, Slice):
                    batch.append(one)
                else:
                    problems.append(one)
            if not problems:
                yield batch
    if problems:
        more = f"; and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        raise EvaluationError(
            f"{len(problems)} test slices cannot be decoded: {'; '.join(problems[:SHOWN_PROBLEMS])}{more}."
        )


def predict(
    models: Sequence[Model], labels: tuple[str, ...], cases: Sequence[Case], folder: Path
) -> tuple[TestSet, list[Predictions]]:
    """Return the test set and every model's predictions, with the classes in the order of ``labels``.

    Raises what ``read_slices`` does, and EvaluationError for a model without finite probabilities.
    """
    outputs: list[list[Outputs]] = [[] for _ in models]
    attributes: dict[str, list[str]] = {name: [] for name in ATTRIBUTES}
    synthetic, positions = 0, list[float | None]()
    for batch in read_slices(cases, folder):
        for model, answered in zip(models, outputs, strict=True):
            images = torch.stack([model.prepare(one.ct_slice) for one in batch])
            answered.append(model.outputs(images))
        positions += [one.ct_slice.position for one in batch]
        for name, values in attributes.items():
            values += [one.attributes[name] for one in batch]
        synthetic += sum(one.ct_slice.picture is not None and one.ct_slice.picture.is_synthetic for one in batch)
    patients = np.unique([case.patient for case in cases], return_inverse=True)[1]
    targets = np.array([labels.index(case.label or labels[0]) for case in cases], np.intp)
    return TestSet(labels, targets, patients, attributes, synthetic, positions=tuple(positions)), [
        _predictions(model, Outputs.joined(answered), labels) for model, answered in zip(models, outputs, strict=True)
    ]


def _read(case: Case, folder: Path) -> Slice | str:
    body = case.read(folder)
    try:
        elements = read_elements(body, {*PIXEL_KEYWORDS, *KEYWORDS})
        return Slice(read_slice(elements), read_attributes(elements))
    except InstanceError as error:
        return f"line {case.line}: {error}"


def _predictions(model: Model, outputs: Outputs, labels: tuple[str, ...]) -> Predictions:
    columns = [model.labels.index(label) for label in labels]
    logits, scores = outputs.logits, model.scores(outputs)
    probabilities = calibration.probabilities(logits, model.temperature)
    without = int((~probabilities.isfinite().all(dim=1)).sum())
    if without:
        raise EvaluationError(
            f"The model {model.identity['Name']} computes no finite probabilities for {without} of the {len(logits)} "
            "test slices; train it again, with a lower learning rate for example."
        )
    return Predictions(
        identity=model.identity,
        temperature=model.temperature,
        probabilities=probabilities[:, columns].numpy(),
        uncalibrated=calibration.probabilities(logits, 1.0)[:, columns].numpy(),
        abstained=None if scores is None else np.array([model.abstains(one) for one in scores.tolist()], np.bool_),
        synthetic=model.synthetic,
        study=model.study,
    )
