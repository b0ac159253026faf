"""The training loop: trains on prepared slices in memory and keeps the network that validates best."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from model_code import calibration
from model_code.backends import networks, torch_backend
from model_code.backends.torch_backend import TorchBackend
from model_code.errors import TrainingError
from model_code.training.batches import Batches
from model_code.training.checkpoint import Checkpoints
from model_code.training.dataset import Samples
from model_code.training.distributed import Worker
from model_code.training.hyperparameters import Hyperparameters
from model_code.training.learner import RISING, Learner
from model_code.training.metrics import Metrics, measure

# Training ends after so many epochs without a better validation, counted from the highest learning rate: before it,
# validation may get worse for a while.
PATIENCE = 10
EVALUATION_BATCH = 16

log = logging.getLogger("model_code.training.fit")


@dataclass(frozen=True)
class Best:
    """The network of the best epoch so far, its logits for the validation slices, and their class indices."""

    epoch: int
    weights: dict[str, torch.Tensor]
    logits: torch.Tensor
    targets: torch.Tensor

    def metrics(self, labels: tuple[str, ...]) -> Metrics | None:
        """Return the validation metrics, None without validation slices."""
        return measure(calibration.probabilities(self.logits, 1.0), self.targets, labels) if len(self.targets) else None


@dataclass
class Progress:
    """The progress of a training: ``history`` has one line of figures per epoch."""

    epoch: int = 0
    best: Best | None = None
    history: list[dict[str, float]] = field(default_factory=list)

    def ended(self, epochs: int) -> bool:
        """Return whether all epochs are done, or validation has not improved for PATIENCE epochs."""
        best_epoch = self.best.epoch if self.best else 0
        return self.epoch >= epochs or self.epoch - max(best_epoch, RISING * epochs) >= PATIENCE

    def state(self) -> dict[str, Any]:
        """Return the state that ``of`` reads."""
        return {"epoch": self.epoch, "best": vars(self.best) if self.best else None, "history": self.history}

    @classmethod
    def of(cls, state: dict[str, Any]) -> Progress:
        """Return the progress with this ``state``."""
        return cls(state["epoch"], Best(**state["best"]) if state["best"] else None, state["history"])


def fit(
    training: Samples,
    validation: Samples,
    labels: tuple[str, ...],
    settings: Hyperparameters,
    worker: Worker,
    checkpoints: Checkpoints,
    initial: Mapping[str, torch.Tensor] = MappingProxyType({}),
) -> tuple[Best, list[dict[str, float]]]:
    """Train a network on the workers' shares of slices, continuing from the checkpoint if there is one.

    A new network begins with the ``initial`` weights where there are any, and with random ones elsewhere.

    Returns the epoch that validated best and the figures of all epochs; each is logged as one line of ``name=value``
    pairs. Without validation slices every epoch counts as better than the last. Raises TrainingError if the loss
    diverges, or for a checkpoint of another training.
    """
    counts = torch.stack(worker.gather(torch.bincount(training.targets, minlength=len(labels)))).sum(dim=0)
    per_epoch = min(worker.gather(len(training)))
    batches = Batches(training, settings.batch_size, per_epoch, settings.seed, worker)
    learner = Learner(class_weights(counts), settings.epochs * len(batches), settings, worker, initial)
    progress = _resume(learner, worker, checkpoints)
    while progress.best is None or not progress.ended(settings.epochs):
        progress.epoch += 1
        started = time.perf_counter()
        loss = _learn(learner, batches, progress.epoch, worker)
        trained = time.perf_counter()
        logits = torch.cat(worker.gather(answers(learner.network, validation)))
        targets = torch.cat(worker.gather(validation.targets))
        latest = Best(progress.epoch, learner.weights(), logits, targets)
        metrics = latest.metrics(labels)
        if progress.best is None or metrics is None or metrics.better_than(progress.best.metrics(labels)):
            progress.best = latest
        figures = {"epoch": progress.epoch, "train_loss": loss, **(metrics.as_dict() if metrics else {})}
        took = {"train_seconds": trained - started, "epoch_seconds": time.perf_counter() - started}
        progress.history.append(figures | {name: round(seconds, 3) for name, seconds in took.items()})
        if worker.leads:
            checkpoints.write({"learner": learner.state(), "progress": progress.state()})
            shown = " ".join(f"{name}={value}" for name, value in progress.history[-1].items() if name != "epoch")
            log.info("epoch=%s of %s %s", progress.epoch, settings.epochs, shown)
    return progress.best, progress.history


def answers(network: nn.Module, samples: Samples) -> torch.Tensor:
    """Return the network's logits for the samples in evaluation mode: N x classes, on the CPU in double precision."""
    network.eval()
    batches = range(0, max(1, len(samples)), EVALUATION_BATCH)
    return torch.cat([torch_backend.logits(network, samples.image(slice(at, at + EVALUATION_BATCH))) for at in batches])


def features(
    weights: dict[str, torch.Tensor], settings: Hyperparameters, classes: int, share: Samples, worker: Worker
) -> torch.Tensor | None:
    """Return the features of every worker's share of slices under ``weights``, on every worker: N x features.

    They are those of the slices as they are served, without augmentation. A network without features has None.
    """
    network = networks.build(classes, settings.network)
    network.load_state_dict(weights)
    backend = TorchBackend(network.eval().to(worker.device))
    batches = range(0, max(1, len(share)), EVALUATION_BATCH)
    found = [backend.outputs(share.image(slice(at, at + EVALUATION_BATCH))).features for at in batches]
    gathered = worker.gather([one.float() for one in found if one is not None])
    return torch.cat([one for of_worker in gathered for one in of_worker]) if gathered[0] else None


def class_weights(counts: torch.Tensor) -> torch.Tensor:
    """Return weights inverse to the counts, so that every class has the same sum; 0 for an absent class."""
    present = counts > 0
    return torch.where(present, counts.sum() / (int(present.sum()) * counts.clamp_min(1)), 0.0)


def _resume(learner: Learner, worker: Worker, checkpoints: Checkpoints) -> Progress:
    """Restore the leading worker's checkpoint on every worker; other hosts' folders may be older."""
    state = worker.broadcast(checkpoints.read() if worker.leads else None)
    if state is None:
        return Progress()
    learner.restore(state["learner"])
    progress = Progress.of(state["progress"])
    if worker.leads:
        log.info("a checkpoint was found: training continues after epoch %s", progress.epoch)
    return progress


def _learn(learner: Learner, batches: Batches, epoch: int, worker: Worker) -> float:
    """Train for one epoch; return the mean loss of its steps."""
    learner.begin_epoch()
    mean = torch.stack([learner.step(images, targets) for images, targets in batches.of(epoch)]).mean()
    learner.share_statistics()
    worker.average([mean])
    if not math.isfinite(mean):
        raise TrainingError(f"The loss of epoch {epoch} is {mean}: training diverges. Lower learning_rate.")
    return round(float(mean), 4)
