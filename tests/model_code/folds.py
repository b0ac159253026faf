"""A cohort in folds and a network that is trained in a moment, for the tests of training and evaluation by folds."""

from __future__ import annotations

import dataclasses
from collections import Counter, OrderedDict

import pytest
import torch
from torch import nn

from model_code.backends import networks
from tests.model_code.conftest import chests
from tests.snapshots import Labelled

TINY = "tiny"


class Tiny(nn.Module):
    """Means of squares of the picture, one hidden layer, and a classifier where MONAI's networks have it."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.hidden = nn.Linear(16, 32)
        self.class_layers = nn.Sequential(OrderedDict(out=nn.Linear(32, classes)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        logits: torch.Tensor = self.class_layers(torch.tanh(self.hidden(4 * self.pool(images).flatten(1) - 2)))
        return logits


def register_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hyperparameter ``network`` name it."""
    monkeypatch.setitem(networks.NETWORKS, TINY, Tiny)  # type: ignore[arg-type]


def in_folds(folds: int, per_class: int = 6, first: int = 0) -> list[Labelled]:
    """Return each class's patients dealt to the folds in turn; the first two of each are for validation."""
    dealt: Counter[str] = Counter()
    patients: dict[str, tuple[str, int]] = {}
    for one in chests(per_class + first)[first * 12 :]:
        if one.patient not in patients:
            number = dealt[one.label]
            patients[one.patient] = "validation" if number < 2 else "train", number % folds + 1
            dealt[one.label] += 1
    return [
        dataclasses.replace(one, split=patients[one.patient][0], fold=patients[one.patient][1])
        for one in chests(per_class + first)[first * 12 :]
    ]
