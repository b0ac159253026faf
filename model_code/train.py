"""The command ``train``: a channel of labelled DICOM objects to a model folder that ``serve`` can load."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Sequence

import torch

from model_code import packing, probe, transforms
from model_code.artifact import sha256
from model_code.container import Container
from model_code.dataset import Slice, read_manifest, read_slices
from model_code.errors import TrainingError
from model_code.fit import Fitted, Samples, fit
from model_code.hyperparameters import Hyperparameters, read_hyperparameters
from model_code.metadata import Metadata
from model_code.split import Split, split_by_patient
from model_code.transforms import Preprocessing

log = logging.getLogger("model_code.train")


def train(container: Container) -> None:
    """Train as the hyperparameters say and write the artifact to the model folder; raises TrainingError."""
    settings = read_hyperparameters(container.hyperparameters)
    preprocessing = Preprocessing(image_size=settings.image_size)
    samples, patients = _prepare(container, settings, preprocessing)
    split = split_by_patient(patients, [settings.labels[index] for index in samples.targets.tolist()], settings.seed)
    log.info("training_slices=%s validation_slices=%s", len(split.training), len(split.validation))
    if split.reason:
        log.info("no validation: %s; the last epoch's model is kept and nothing says how good it is", split.reason)
    fitted = fit(
        _take(samples, split.training),
        _take(samples, split.validation),
        transforms.augmentation(preprocessing, settings.seed),
        settings,
    )
    _write(container, settings, preprocessing, fitted, _record(settings, split, patients, samples, fitted))


def _prepare(
    container: Container, settings: Hyperparameters, preprocessing: Preprocessing
) -> tuple[Samples, Sequence[str]]:
    """Decode and preprocess every slice once; the epochs then read memory (4 bytes a pixel of the network's input)."""
    cases = read_manifest(container.training_channel, settings.labels)
    absent = sorted(set(settings.labels) - {case.label for case in cases})
    if absent:
        raise TrainingError(f"The manifest has no slice labelled {', '.join(absent)}; name the classes in labels.")
    pipeline = transforms.deterministic(preprocessing)

    def prepared(one: Slice) -> tuple[torch.Tensor, int, str]:
        return transforms.apply(pipeline, one.hounsfield), settings.labels.index(one.label), one.patient

    images, targets, patients = zip(*map(prepared, read_slices(cases)), strict=True)
    return Samples(torch.stack(images), torch.tensor(targets)), patients


def _take(samples: Samples, indices: Sequence[int]) -> Samples:
    chosen = torch.tensor(indices, dtype=torch.long)
    return Samples(samples.images[chosen], samples.targets[chosen])


def _record(
    settings: Hyperparameters, split: Split, patients: Sequence[str], samples: Samples, fitted: Fitted
) -> dict[str, object]:
    """How the model came to be: counts only, no identity of a patient or an object."""
    counts = Counter(settings.labels[index] for index in samples.targets.tolist())
    return {
        "hyperparameters": dataclasses.asdict(settings),
        "slices": {label: counts[label] for label in settings.labels},
        "patients": len(set(patients)),
        "training_slices": len(split.training),
        "validation_slices": len(split.validation),
        "validation_patients": len({patients[index] for index in split.validation}),
        "validation": split.reason or "patients held out",
        "epochs": fitted.epochs,
        "best_epoch": fitted.best_epoch,
    }


def _write(
    container: Container,
    settings: Hyperparameters,
    preprocessing: Preprocessing,
    fitted: Fitted,
    record: dict[str, object],
) -> None:
    weights = packing.serialise(fitted.network)
    about = Metadata(
        name=settings.model_name,
        version=settings.model_version,
        labels=settings.labels,
        preprocessing=preprocessing,
        weights_sha256=sha256(weights),
        probe_logits=probe.answer(fitted.network, transforms.deterministic(preprocessing)),
    )
    metrics = fitted.metrics.as_dict() if fitted.metrics else {}
    packing.write(container.model_dir, weights, about, metrics, record)
    log.info("model=%s/%s weights_sha256=%s", about.name, about.version, about.weights_sha256)
