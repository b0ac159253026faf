"""The command ``train``: trains on a snapshot's slices and writes a model folder that ``serve`` can load."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

import torch

from aggregation.rule import Rule
from model_code import calibration, out_of_fold, snapshot, stopping, typicality
from model_code.artifacts import packing, seal
from model_code.artifacts.artifact import sha256
from model_code.artifacts.metadata import Metadata
from model_code.backends import gpu, known_answer, networks
from model_code.backends.backend import Outputs
from model_code.backends.torch_backend import TorchBackend
from model_code.calibration import Calibration
from model_code.container import Container
from model_code.errors import SnapshotError, TrainingError
from model_code.snapshot import Case, Snapshot, Split
from model_code.training import folds, initial_weights
from model_code.training.checkpoint import Checkpoints
from model_code.training.cluster import Cluster
from model_code.training.dataset import Samples, load
from model_code.training.distributed import RANK, Worker, joined
from model_code.training.fit import Best, features, fit
from model_code.training.folds import Folded, outputs
from model_code.training.hyperparameters import Hyperparameters, read_hyperparameters
from model_code.training.study_rule import Positions, StudyRule, fit_rule, studies_read, unseen_slices
from model_code.transforms import Preprocessing
from model_code.typicality import Typicality
from untrusted import picture as pictures
from untrusted.picture import Pictures

SHOWN_PROBLEMS = 20
SEEN = (Split.TRAIN, Split.VALIDATION)

log = logging.getLogger("model_code.training.train")


@dataclass(frozen=True)
class Trained:
    """What the artifact is written from: the best epoch, the figures of all, and how it is calibrated, abstains, and
    reads studies. With folds also what their models say, and each one's rule for studies.
    """

    best: Best
    history: list[dict[str, float]]
    calibrated: Calibration
    typical: Typicality | None
    studies: StudyRule
    folded: Folded | None
    of_folds: Mapping[int, Rule]


def train(container: Container) -> None:
    """Train with the job's hyperparameters on all its hosts and GPUs, and write the artifact to the model folder.

    Raises TrainingError or SnapshotError for data that cannot be trained on. If SageMaker stops the job, the process
    ends: the last checkpoint then stays, and no model is written.
    """
    cluster = Cluster.read(container.resource_config)
    if RANK not in os.environ and cluster.workers > 1:
        cluster.launch(["-m", "model_code", "train"], container.failure, os.environ)
        return
    with _ended_by_sigterm(), joined(os.environ) as worker:
        _train(container, worker)


def _train(container: Container, worker: Worker) -> None:
    settings = read_hyperparameters(container.hyperparameters)
    preprocessing = Preprocessing(image_size=settings.image_size)
    taken = snapshot.read(container.snapshot_channel)
    _check(taken, worker)
    initial = _initial(container, settings, taken)
    if worker.leads:
        slices = [len(taken.of(split)) for split in SEEN]
        log.info("training_slices=%s validation_slices=%s workers=%s", *slices, worker.count)
        log.info("each worker trains on %s", gpu.device())
        if not taken.of(Split.VALIDATION):
            log.info("no validation slices: the last epoch's model is kept, and its quality is unknown")
    shares = [_share(taken, split, worker) for split in SEEN]
    # More slices by which the rule for studies is fitted: no network learns from them.
    more = [] if taken.folds else worker.share(unseen_slices(taken))
    training, validation, others, synthetic, positions = _load(
        container, worker, taken.labels, preprocessing, shares[0], shares[1], more
    )
    run = _run(settings, taken, worker)
    folded = None
    if taken.folds:
        parts = list(zip(shares, (training, validation), strict=True))
        folded = folds.train_folds(parts, taken, settings, worker, initial, lambda fold: _of_fold(container, run, fold))
        log.info("the model of all patients")
    checkpoints = Checkpoints(container.checkpoints, run)
    best, history = fit(training, validation, taken.labels, settings, worker, checkpoints, initial)
    seen = [features(best.weights, settings, len(taken.labels), part, worker) for part in (training, validation)]
    validated = _ordered(taken, worker.gather([case.line for case in shares[1]]))
    others_said = outputs(best.weights, settings, taken, others, worker)
    beside = _ordered(taken, worker.gather([case.line for case in more]))
    if worker.leads:
        read = pictures.served_by(*zip(*training.kinds, strict=True))
        typical = folded.typicality(seen[0]) if folded else _typicality(seen, [case.patient for case in validated])
        calibrated = _calibrated(best, taken, folded)
        if folded:
            studies, of_folds = folded.study_rules(taken, positions, settings.study_sensitivity)
        else:
            said = Outputs.joined([Outputs(best.logits, seen[1]), others_said])
            found = studies_read(validated + beside, positions, said, calibrated, typical, taken.labels)
            studies, of_folds = fit_rule(found, taken.labels, settings.study_sensitivity), {}
        log.info("studies: %s", studies.reason)
        trained = Trained(best, history, calibrated, typical, studies, folded, of_folds)
        _write(container, settings, taken, read, synthetic, trained)


def _check(taken: Snapshot, worker: Worker) -> None:
    training = taken.of(Split.TRAIN)
    absent = sorted(set(taken.labels) - {case.label for case in training})
    if absent:
        raise TrainingError(f"The snapshot's split train has no slice labelled {', '.join(absent)}.")
    if len(training) < 2 * worker.count:
        raise TrainingError(
            f"The snapshot's split train has {len(training)} slices for {worker.count} workers; each needs two."
        )


def _initial(container: Container, settings: Hyperparameters, taken: Snapshot) -> dict[str, torch.Tensor]:
    """Return the weights that the snapshot pins to start from; none if it pins none."""
    network = networks.build(len(taken.labels), settings.network)
    found = initial_weights.read(container.initial_weights, taken.initial_weights, network)
    if taken.initial_weights:
        log.info("training starts from %s tensors of the initial weights %s", len(found), taken.initial_weights.sha256)
    return found


def _share(taken: Snapshot, split: Split, worker: Worker) -> list[Case]:
    """Return this worker's cases of a split: as many of every class as any other worker, plus or minus one."""
    return worker.share(sorted(taken.of(split), key=lambda case: (taken.labels.index(case.label), case.line)))


def _load(
    container: Container,
    worker: Worker,
    labels: Sequence[str],
    preprocessing: Preprocessing,
    training: list[Case],
    validation: list[Case],
    others: list[Case],
) -> tuple[Samples, Samples, Samples, int, Positions]:
    """Prepare this worker's slices: training, validation, and others.

    Also returns the number of all synthetic slices, and where each slice of every worker lies. Every worker raises the
    problems of all, so that none waits for a failed one.
    """
    samples: Samples | None = None
    problems: list[str] = []
    try:
        samples, problems = load(container.slices_channel, training + validation + others, labels, preprocessing)
    except SnapshotError as error:
        problems = [str(error)]
    problems = [problem for of_worker in worker.gather(problems) for problem in of_worker]
    if samples is None or problems:
        more = f"; and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        shown = "; ".join(problem.rstrip(".") for problem in problems[:SHOWN_PROBLEMS])
        raise TrainingError(f"{len(problems)} of the snapshot's slices cannot be trained on: {shown}{more}.")
    gathered = worker.gather(sorted(samples.kinds))
    kinds = frozenset((plane, image_type) for of_worker in gathered for plane, image_type in of_worker)
    synthetic = sum(worker.gather(samples.synthetic))
    lines = [case.line for case in training + validation + others]
    placed = worker.gather(dict(zip(lines, samples.positions, strict=True)))
    positions = {line: position for of_worker in placed for line, position in of_worker.items()}
    samples = Samples(samples.images, samples.targets, kinds)
    ends = (0, len(training), len(training) + len(validation), len(samples))
    first, second, third = (samples.part(slice(*some)) for some in itertools.pairwise(ends))
    return first, second, third, synthetic, positions


def _ordered(taken: Snapshot, lines: Sequence[Sequence[int]]) -> list[Case]:
    """Return the cases of all workers' lines, in their order."""
    by_line = {case.line: case for case in (*taken.cases, *taken.unlabelled)}
    return [by_line[line] for of_worker in lines for line in of_worker]


def _typicality(seen: Sequence[torch.Tensor | None], patients: Sequence[str]) -> Typicality | None:
    """Return what the artifact abstains by, by the features of the training and the validation part."""
    training, validation = seen
    if training is None or validation is None:
        log.info("the network has no %s: the model will abstain on nothing", networks.CLASSIFIER)
        return None
    learnt = typicality.learn(training, validation, patients)
    if learnt is None:
        log.info("fewer than %s validation patients: the model will abstain on nothing", typicality.FEWEST_PATIENTS)
    return learnt


def _of_fold(container: Container, run: dict[str, str | int | float], fold: int) -> Checkpoints:
    return Checkpoints(container.checkpoints / f"fold-{fold}", run | {"fold": fold})


def _run(settings: Hyperparameters, taken: Snapshot, worker: Worker) -> dict[str, str | int | float]:
    """Return what a checkpoint must have been made with for training to continue from it."""
    return {"snapshot_digest": taken.digest, "workers": worker.count, **dataclasses.asdict(settings)}


def _write(
    container: Container, settings: Hyperparameters, taken: Snapshot, read: Pictures, synthetic: int, trained: Trained
) -> None:
    best, typical, folded = trained.best, trained.typical, trained.folded
    network = networks.build(len(taken.labels), settings.network)
    network.load_state_dict(best.weights)
    networks.add_to_logits(network, trained.calibrated.of_logits)
    weights = packing.serialise(network)
    metrics = best.metrics(taken.labels)
    preprocessing = Preprocessing(image_size=settings.image_size)
    about = Metadata(
        name=settings.model_name,
        version=settings.model_version,
        labels=taken.labels,
        preprocessing=preprocessing,
        weights_sha256=sha256(weights),
        temperature=trained.calibrated.temperature,
        network=settings.network,
        known_answer=known_answer.answer(TorchBackend(network.eval()), preprocessing),
        pictures=read,
        typicality=typical.record if typical else None,
        synthetic=synthetic == sum(len(taken.of(split)) for split in SEEN),
        study=trained.studies.rule,
    )
    record = _record(settings, taken) | {"synthetic_slices": synthetic, "calibration": trained.calibrated.as_dict()}
    record |= {"epochs": len(trained.history), "best_epoch": best.epoch, "history": trained.history}
    record["studies"] = trained.studies.as_dict()
    if folded:
        record["folds"] = {"epochs": folded.epochs, "predictions": out_of_fold.FILE}
    packing.write(container.model_dir, weights, about, metrics.as_dict() if metrics else {}, record, typical)
    if folded:
        document = folded.document(taken, trained.of_folds)
        (container.model_dir / out_of_fold.FILE).write_text(document.write(), encoding="utf-8")
    log.info(
        "model=%s/%s weights_sha256=%s temperature=%.4f",
        about.name,
        about.version,
        about.weights_sha256,
        about.temperature,
    )
    log.info("%s", seal.line(seal.seal_of(container.model_dir)))


def _calibrated(best: Best, taken: Snapshot, folded: Folded | None) -> Calibration:
    """Return how the best epoch's logits become probabilities: by the validation part, or by all folds.

    The loss gives every class the same weight, so the classes' frequencies come back here. The epoch was chosen before,
    with each class alike.
    """
    counted = Counter(case.label for case in taken.of(Split.TRAIN))
    if folded:
        return folded.calibrated(calibration.log_prior_of([counted[label] for label in taken.labels]))
    patients = len({case.patient for case in taken.of(Split.VALIDATION)})
    return calibration.calibrate(best.logits, best.targets, [counted[label] for label in taken.labels], patients)


def _record(settings: Hyperparameters, taken: Snapshot) -> dict[str, Any]:
    """Return how the model was trained: counts and digests, no identity of a patient or an object."""
    return {
        "snapshot_digest": taken.digest,
        "split_by": taken.split_by,
        "hyperparameters": dataclasses.asdict(settings),
        "slices": {split: dict(Counter(case.label for case in taken.of(split))) for split in SEEN},
        "patients": {split: len({case.patient for case in taken.of(split)}) for split in SEEN},
    } | ({"initial_weights": taken.initial_weights.as_dict()} if taken.initial_weights else {})


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """End the process at once on SIGTERM, which SageMaker sends two minutes before it ends the container.

    Only the current epoch is lost: the checkpoint of the last one is whole, and already in SageMaker's folder.
    """

    def leave(_signal: int, _frame: FrameType | None) -> NoReturn:
        log.info("stopped by SIGTERM; a job with this one's checkpoints continues after its last complete epoch")
        stopping.leave()

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
