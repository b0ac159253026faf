"""Temperature scaling, which makes a network's probabilities match how often it is right."""

from __future__ import annotations

from collections.abc import Sequence

import torch

# Beyond these bounds the logits are useless: retrain instead of rescaling.
SHARPEST, SOFTEST = 0.1, 10.0
BISECTIONS = 60
# Two classes are nearly tied where their probabilities lie closer than this: a pixel of shift, 10 HU of noise or a
# faster backend can then exchange them.
TIE = 0.1


def probabilities(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the softmax of N x classes ``logits`` divided by ``temperature``; 1 leaves them uncalibrated."""
    return torch.softmax(logits / temperature, dim=1)


def is_tie(probabilities: Sequence[float]) -> bool:
    """Return whether the two highest of one slice's probabilities lie closer than TIE."""
    highest = sorted(probabilities)[-2:]
    return len(highest) == 2 and highest[1] - highest[0] < TIE


def fit_temperature(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """Return the temperature with the least cross-entropy on N x classes ``logits`` against N class indices.

    The targets are smoothed by the rule of succession, as in Platt scaling: N slices, all right, are evidence for one
    error in N + 2. Without it, a network without errors on them would become certain of everything. Cross-entropy is
    convex in the temperature's inverse, so its derivative is bisected.
    """
    slices, classes = logits.shape
    logits = logits.double()
    doubt = 1 / (slices + 2)
    smoothed = torch.full_like(logits, doubt / (classes - 1)).scatter_(1, targets[:, None], 1 - doubt)
    aimed = (smoothed * logits).sum()
    low, high = 1 / SOFTEST, 1 / SHARPEST
    for _ in range(BISECTIONS):
        inverse = (low + high) / 2
        # d/d(inverse) of the cross-entropy: the expected logit under the network less that under the targets.
        too_sharp = (torch.softmax(inverse * logits, dim=1) * logits).sum() > aimed
        low, high = (low, inverse) if too_sharp else (inverse, high)
    return 2 / (low + high)
