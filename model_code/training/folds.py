"""Trains a model without each fold of the patients, and keeps what it says of these: out-of-fold predictions.

Each is trained as the model of all patients is, on the same training and validation part less the fold. Its
temperature and its threshold come from the other folds' slices, since its own are the test; those of the model of all
come from every slice.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import torch

from aggregation.rule import SIMPLE, Rule
from model_code import calibration, typicality
from model_code.backends import networks
from model_code.backends.backend import Outputs
from model_code.backends.torch_backend import TorchBackend
from model_code.calibration import Calibration
from model_code.errors import TrainingError
from model_code.out_of_fold import Fold, OutOfFold, Row
from model_code.snapshot import Case, Snapshot, Split
from model_code.studies import Said, Study, studies_of
from model_code.training.checkpoint import Checkpoints
from model_code.training.dataset import Samples
from model_code.training.distributed import Worker
from model_code.training.fit import EVALUATION_BATCH, fit
from model_code.training.hyperparameters import Hyperparameters
from model_code.training.study_rule import Positions, StudyRule, fit_rule
from model_code.typicality import Typicality

# A score is said in units of the geometric mean of the training part's own, since each network has other features.
DECIMALS = typicality.DECIMALS

log = logging.getLogger("model_code.training.folds")


@dataclass(frozen=True)
class Folded:
    """What all folds' models say of their slices: a row each, in the order of ``cases``.

    ``logits`` are the networks' own, N x classes; ``log_priors`` what these lack, alike; ``scores`` are in units of the
    network's training part, None where networks have no features. ``epochs``: of each fold's model.
    """

    cases: tuple[Case, ...]
    targets: torch.Tensor
    logits: torch.Tensor
    log_priors: torch.Tensor
    scores: torch.Tensor | None
    epochs: dict[int, int]

    def calibrated(self, log_prior: Sequence[float]) -> Calibration:
        """Return how the logits of the model of all patients become probabilities, by all slices."""
        patients = len({case.patient for case in self.cases})
        if patients < calibration.FEWEST_PATIENTS:
            needed = f"{calibration.FEWEST_PATIENTS} are needed, and label more."
            reason = f"No temperature was fitted, since there are {patients} patients: {needed}"
        else:
            reason = f"The temperature was fitted on {len(self.cases)} slices of {patients} patients, out of fold."
        return Calibration(self._temperature(self.of_others(0)), tuple(log_prior), reason)

    def typicality(self, training: torch.Tensor | None) -> Typicality | None:
        """Return what the model of all patients abstains by; ``training``: the features of its training part."""
        threshold = self._threshold(self.of_others(0))
        if training is None or threshold is None:
            log.info("no features, or fewer than %s patients: no abstention", typicality.FEWEST_PATIENTS)
            return None
        found = typicality.space_of(training)
        unit = _unit(found, training)
        scaled = max(round(threshold * unit, DECIMALS), typicality.SMALLEST)
        return found.with_threshold(scaled, [case.patient for case in self.cases])

    def study_rules(
        self, taken: Snapshot, positions: Positions, sensitivity: float
    ) -> tuple[StudyRule, dict[int, Rule]]:
        """Return how the model of all patients reads studies, by all, and each fold's rule, by the other folds'."""
        found = self._studies(taken, positions)
        rules = {
            number: fit_rule([study for study in found if study.fold != number], taken.labels, sensitivity).rule
            for number in self.epochs
        }
        return fit_rule(found, taken.labels, sensitivity), rules

    def _studies(self, taken: Snapshot, positions: Positions) -> list[Study]:
        """Return the studies, each read by the model of its fold with the other folds' temperature and threshold."""
        probabilities = torch.zeros_like(self.logits, dtype=torch.double)
        abstained = torch.zeros(len(self.cases), dtype=torch.bool)
        for number in self.epochs:
            others = self.of_others(number)
            rows, threshold = ~others, self._threshold(others)
            powers = self.logits[rows].double() / self._temperature(others) + self.log_priors[rows]
            probabilities[rows] = torch.softmax(powers, dim=1)
            if self.scores is not None and threshold is not None:
                abstained[rows] = ~(self.scores[rows] <= threshold)
        said = Said(probabilities.numpy(), [positions.get(case.line) for case in self.cases], abstained.numpy())
        return studies_of(self.cases, said, taken.labels, SIMPLE.reference_of(taken.labels))

    def document(self, taken: Snapshot, rules: Mapping[int, Rule] = MappingProxyType({})) -> OutOfFold:
        """Return what the artifact keeps; ``rules`` are those of the folds' models for studies."""
        folds, rows = {}, {}
        for number, epoch in self.epochs.items():
            others = self.of_others(number)
            temperature = self._temperature(others)
            described = _described(taken, number, epoch, temperature, self._threshold(others))
            folds[number] = replace(described, study=rules.get(number, SIMPLE))
            for at in (~others).nonzero().flatten().tolist():
                logits = self.logits[at] + temperature * self.log_priors[at]
                score = None if self.scores is None else round(float(self.scores[at]), DECIMALS)
                rounded = tuple(logits.round(decimals=DECIMALS).tolist())
                rows[self.cases[at].line] = Row(fold=number, logits=rounded, score=score)
        return OutOfFold(digest=taken.digest, labels=taken.labels, folds=folds, rows=dict(sorted(rows.items())))

    def of_others(self, fold: int) -> torch.Tensor:
        """Return which slices are of other folds; with 0 all."""
        return torch.tensor([case.fold != fold for case in self.cases])

    def _temperature(self, rows: torch.Tensor) -> float:
        if len(self._patients(rows)) < calibration.FEWEST_PATIENTS:
            return 1.0
        return calibration.fit_temperature(self.logits[rows], self.targets[rows], self.log_priors[rows])

    def _threshold(self, rows: torch.Tensor) -> float | None:
        """Return the score, in units of a training part's, above which a model abstains; None below few patients."""
        if self.scores is None or len(self._patients(rows)) < typicality.FEWEST_PATIENTS:
            return None
        of = [case.patient for case, kept in zip(self.cases, rows.tolist(), strict=True) if kept]
        return typicality.threshold_of(self.scores[rows].numpy(), of)

    def _patients(self, rows: torch.Tensor) -> set[str]:
        return {case.patient for case, kept in zip(self.cases, rows.tolist(), strict=True) if kept}


def train_folds(
    parts: Sequence[tuple[Sequence[Case], Samples]],
    taken: Snapshot,
    settings: Hyperparameters,
    worker: Worker,
    initial: Mapping[str, torch.Tensor],
    checkpoints: Callable[[int], Checkpoints],
) -> Folded:
    """Train the folds' models one after another, continuing from their checkpoints, and test each on its fold.

    ``parts`` are this worker's cases and slices of training and validation. Each starts from the ``initial`` weights,
    as the model of all does. Raises TrainingError as ``fit`` does, and
    for fewer training slices than each worker needs.
    """
    by_line = {case.line: case for case in taken.cases}
    cases: list[Case] = []
    targets, logits, log_priors, scores = [], [], [], []
    epochs: dict[int, int] = {}
    for fold in sorted({case.fold for case in taken.cases}):
        training, validation = (_without(fold, *one) for one in parts)
        _check(taken, fold, worker, training)
        best, _ = fit(training, validation, taken.labels, settings, worker, checkpoints(fold), initial)
        theirs = [(case, one) for of, samples in parts for case, one in _those(of, samples, fold)]
        tested = _stacked([one for _, one in theirs], training)
        said = outputs(best.weights, settings, taken, tested, worker)
        seen = outputs(best.weights, settings, taken, training, worker)
        counts = Counter(case.label for case in taken.of(Split.TRAIN) if case.fold != fold)
        prior = torch.tensor(calibration.log_prior_of([counts[label] for label in taken.labels]), dtype=torch.double)
        lines = worker.gather([case.line for case, _ in theirs])
        cases += [by_line[line] for of_worker in lines for line in of_worker]
        targets.append(torch.cat(worker.gather(tested.targets)))
        logits.append(said.logits)
        log_priors.append(prior.expand_as(said.logits))
        if said.features is not None and seen.features is not None:
            space = typicality.space_of(seen.features)
            scores.append(space.scores(said.features) / _unit(space, seen.features))
        epochs[fold] = best.epoch
    return Folded(
        tuple(cases),
        torch.cat(targets),
        torch.cat(logits),
        torch.cat(log_priors),
        torch.cat(scores) if len(scores) == len(epochs) else None,
        epochs,
    )


def _check(taken: Snapshot, fold: int, worker: Worker, training: Samples) -> None:
    absent = sorted(set(taken.labels) - {one.label for one in taken.of(Split.TRAIN) if one.fold != fold})
    if absent:
        raise TrainingError(f"Without fold {fold} no slice to train on is labelled {', '.join(absent)}.")
    fewest = min(worker.gather(len(training)))
    if fewest < 2:
        raise TrainingError(
            f"Without fold {fold} a worker of {worker.count} has {fewest} slices to train on; each needs two. Use one "
            "host with at most one GPU (training_instance_count, training_instance_type)."
        )
    if worker.leads:
        log.info("fold=%s of %s training_slices=%s", fold, taken.folds, fewest * worker.count)


def _without(fold: int, cases: Sequence[Case], samples: Samples) -> Samples:
    rows = torch.tensor([case.fold != fold for case in cases], dtype=torch.bool)
    return Samples(samples.images[rows], samples.targets[rows], samples.kinds)


def _those(cases: Sequence[Case], samples: Samples, fold: int) -> list[tuple[Case, Samples]]:
    """Return the cases of a fold, each with its slice."""
    return [(case, samples.part(slice(at, at + 1))) for at, case in enumerate(cases) if case.fold == fold]


def _stacked(ones: Sequence[Samples], like: Samples) -> Samples:
    """Return slices as one; of a worker without any, an empty one of the shape of ``like``."""
    some = [*ones, like.part(slice(0))]
    return Samples(torch.cat([one.images for one in some]), torch.cat([one.targets for one in some]))


def outputs(
    weights: dict[str, torch.Tensor], settings: Hyperparameters, taken: Snapshot, share: Samples, worker: Worker
) -> Outputs:
    """Return logits and features of every worker's share of slices under ``weights``, as they are served."""
    network = networks.build(len(taken.labels), settings.network)
    network.load_state_dict(weights)
    backend = TorchBackend(network.eval().to(worker.device))
    batches = range(0, max(1, len(share)), EVALUATION_BATCH)
    found = Outputs.joined([backend.outputs(share.image(slice(at, at + EVALUATION_BATCH))) for at in batches])
    gathered = worker.gather([found.logits, found.features])
    return Outputs.joined([Outputs(torch.as_tensor(logits), features) for logits, features in gathered])


def _unit(space: Typicality, training: torch.Tensor) -> float:
    """Return the geometric mean of the training part's own scores."""
    own = np.maximum(space.scores(training).numpy(), typicality.SMALLEST)
    return float(np.exp(np.log(own).mean()))


def _described(taken: Snapshot, number: int, epoch: int, temperature: float, threshold: float | None) -> Fold:
    parts = {
        "train": [case for case in taken.of(Split.TRAIN) if case.fold != number],
        "validation": [case for case in taken.of(Split.VALIDATION) if case.fold != number],
        "test": [case for case in taken.cases if case.fold == number],
    }
    return Fold(
        number=number,
        epoch=epoch,
        temperature=temperature,
        threshold=threshold,
        patients={part: len({case.patient for case in some}) for part, some in parts.items()},
        slices={part: len(some) for part, some in parts.items()},
    )
