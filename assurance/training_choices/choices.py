"""The choices: averaged weights, no decay of norms and biases, and changes of intensity, as parts of a training."""

from __future__ import annotations

import copy
import enum
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from model_code.training.batches import Batch, Batches
from model_code.training.hyperparameters import Hyperparameters
from model_code.training.learner import RISING, WEIGHT_DECAY, Learner

# Of all steps: so many of the newest decide the averaged weights.
HORIZON = 0.1
SHIFT_HU, NOISE_HU, SHARPENED = 20.0, 30.0, 1.0
"""The most that a slice is shifted by, the strongest noise, and how much detail is at most taken away or added."""
CHANGED = 0.5
"""The probability of each of the three changes, of each slice."""
WINDOW_HU = 1500.0
BLUR = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])[None, None] / 16
"""A Gaussian kernel of about one pixel."""


class Choice(enum.StrEnum):
    """One way to train otherwise."""

    AVERAGE = "averaged weights"
    DECAY = "no decay of norms and biases"
    INTENSITY = "changes of intensity"


class Average:
    """The exponential running mean of a network's parameters over the newest of so many steps."""

    def __init__(self, of: nn.Module, steps: int) -> None:
        self._of = of
        self._share = 1 / max(1.0, HORIZON * steps)
        self._steps = 0
        self.network = copy.deepcopy(of)

    def add(self) -> None:
        """Add the parameters as they are now."""
        self._steps += 1
        share = max(1 / self._steps, self._share)
        with torch.no_grad():
            for mean, one in zip(self.network.parameters(), self._of.parameters(), strict=True):
                mean.lerp_(one, share)

    def normalise(self, batches: Iterator[Batch]) -> None:
        """Estimate batch normalisation's statistics for the mean weights, over an epoch's batches."""
        norms = [module for module in self.network.modules() if isinstance(module, nn.BatchNorm2d)]
        self.network.train()
        with torch.no_grad():
            for number, (images, _) in enumerate(batches, start=1):
                for norm in norms:
                    norm.momentum = 1 / number
                self.network(images.to(memory_format=torch.channels_last))


def spare_norms(learner: Learner, steps: int, settings: Hyperparameters) -> None:
    """Give a new learner an optimiser that decays the weights of convolutions and classifier alone."""
    parameters = list(learner.network.parameters())
    groups = [
        {"params": [one for one in parameters if one.dim() > 1]},
        {"params": [one for one in parameters if one.dim() == 1], "weight_decay": 0.0},
    ]
    rate = settings.learning_rate
    learner._optimizer = torch.optim.AdamW(groups, rate, weight_decay=WEIGHT_DECAY)
    learner._schedule = torch.optim.lr_scheduler.OneCycleLR(learner._optimizer, rate, steps, pct_start=RISING)


def changed(batches: Batches, epoch: int, seed: int) -> Iterator[Batch]:
    """Yield an epoch's batches with another kernel, noise and a shift, drawn from seed and epoch."""
    draw = torch.Generator().manual_seed(1_000_003 * seed + epoch)
    for images, targets in batches.of(epoch):
        yield intensities(images, draw), targets


def intensities(images: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Return N x 1 x size x size images in 0..1, each blurred or sharpened, with noise and a shift, at random."""
    chosen = torch.rand(len(images), 6, generator=draw)
    on = (chosen[:, :3] < CHANGED).float()
    detail = (2 * chosen[:, 3] - 1) * SHARPENED * on[:, 0]
    noise = chosen[:, 4] * NOISE_HU / WINDOW_HU * on[:, 1]
    shift = (2 * chosen[:, 5] - 1) * SHIFT_HU / WINDOW_HU * on[:, 2]
    detail, noise, shift = (one[:, None, None, None] for one in (detail, noise, shift))
    blurred = functional.conv2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), BLUR)
    grain = torch.randn(images.shape, generator=draw)
    return (images + detail * (images - blurred) + noise * grain + shift).clamp(0, 1)
