"""The training loop: from prepared slices in memory to the network that validates best."""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from monai.transforms.compose import Compose
from torch import nn
from torch.optim.swa_utils import update_bn

from model_code import network
from model_code.hyperparameters import Hyperparameters
from model_code.metrics import Metrics, measure

# Epochs without a better validation after which training ends.
PATIENCE = 10
WEIGHT_DECAY = 1e-2
EVALUATION_BATCH = 16
# Slices from which batch normalisation's statistics are taken; each gives every channel many positions.
SETTLING_SLICES = 128

log = logging.getLogger("model_code.fit")


@dataclass(frozen=True)
class Samples:
    """Prepared slices: ``images`` N x 1 x size x size in 0..1, ``targets`` N class indices."""

    images: torch.Tensor
    targets: torch.Tensor

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Fitted:
    """The best network, in evaluation mode, and what it measured: ``metrics`` is None when nothing was held out."""

    network: nn.Module
    metrics: Metrics | None
    best_epoch: int
    epochs: int


def fit(training: Samples, validation: Samples, augmentation: Compose, settings: Hyperparameters) -> Fitted:
    """Train a new network; logs one line of ``name=value`` pairs per epoch.

    With validation slices the best epoch's network is kept and training stops early; without, the last one's.
    """
    torch.manual_seed(settings.seed)
    order = torch.Generator().manual_seed(settings.seed)
    net = network.build(len(settings.labels)).to("cuda" if torch.cuda.is_available() else "cpu")
    weight = class_weights(training.targets, len(settings.labels))
    criterion = nn.CrossEntropyLoss(weight=weight.to(network.device_of(net)))
    optimizer = torch.optim.AdamW(net.parameters(), lr=settings.learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, settings.epochs * batches_per_epoch(len(training), settings.batch_size)
    )

    def step(images: torch.Tensor, targets: torch.Tensor) -> float:
        optimizer.zero_grad()
        loss: torch.Tensor = criterion(net(images), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        return float(loss.detach())

    best: Fitted | None = None
    for epoch in range(1, settings.epochs + 1):
        net.train()
        losses = [
            step(images, targets)
            for images, targets in _batches(training, settings.batch_size, augmentation, order, network.device_of(net))
        ]
        _settle(net, training.images[torch.randperm(len(training), generator=order)[:SETTLING_SLICES]])
        metrics = evaluate(net, validation, settings.labels) if len(validation) else None
        log.info(_progress(epoch, sum(losses) / len(losses), metrics))
        if best is None or metrics is None or metrics.better_than(best.metrics):
            best = Fitted(copy.deepcopy(net).eval(), metrics, epoch, epoch)
        best = dataclasses.replace(best, epochs=epoch)
        if epoch - best.best_epoch >= PATIENCE:
            break
    if best is None:
        raise ValueError(f"epochs is {settings.epochs}; at least one is needed")
    return best


def evaluate(net: nn.Module, samples: Samples, labels: tuple[str, ...]) -> Metrics:
    """Measure the network on ``samples`` in evaluation mode."""
    net.eval()
    answers = [network.probabilities(net, images) for images in torch.split(samples.images, EVALUATION_BATCH)]
    return measure(torch.cat(answers), samples.targets, labels)


def class_weights(targets: torch.Tensor, classes: int) -> torch.Tensor:
    """Weight each class by the inverse of its frequency, so that every class has the same sum; absent ones by 0."""
    counts = torch.bincount(targets, minlength=classes).float()
    return torch.where(counts > 0, len(targets) / (int((counts > 0).sum()) * counts.clamp_min(1)), 0.0)


def batches_per_epoch(slices: int, batch_size: int) -> int:
    """How many batches an epoch has: a last batch of a single slice has no statistics, so it is left out."""
    return max(1, slices // batch_size + (slices % batch_size > 1))


def _batches(
    samples: Samples, batch_size: int, augmentation: Compose, order: torch.Generator, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The slices in a new random order, augmented, on the device."""
    shuffled = torch.split(torch.randperm(len(samples), generator=order), batch_size)
    for indices in shuffled[: batches_per_epoch(len(samples), batch_size)]:
        images = torch.stack([augmentation(samples.images[index]) for index in indices])
        yield images.to(device, memory_format=torch.channels_last), samples.targets[indices].to(device)


def _settle(net: nn.Module, images: torch.Tensor) -> None:
    """Set batch normalisation's statistics to those of ``images`` under the weights as they are now.

    The running averages of training mode trail behind: after few steps they describe weights long gone, and the
    network fails in evaluation mode though it has learnt.
    """
    device = network.device_of(net)
    batches = torch.split(images, EVALUATION_BATCH)
    update_bn((batch.to(device, memory_format=torch.channels_last) for batch in batches), net)


def _progress(epoch: int, train_loss: float, metrics: Metrics | None) -> str:
    line = f"epoch={epoch} train_loss={train_loss:.4f}"
    if metrics is None:
        return line
    return (
        f"{line} val_loss={metrics.loss:.4f} val_accuracy={metrics.accuracy:.4f} "
        f"val_balanced_accuracy={metrics.balanced_accuracy:.4f}"
    )
