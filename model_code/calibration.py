"""The temperature that makes a network's probabilities say how often it is right."""

from __future__ import annotations

import torch

# Beyond these the logits are useless as they are: retrain rather than rescale.
SHARPEST, SOFTEST = 0.1, 10.0
BISECTIONS = 60


def probabilities(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Softmax of N x classes ``logits`` divided by ``temperature``; 1 leaves them as the network gave them."""
    return torch.softmax(logits / temperature, dim=1)


def fit_temperature(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """Return the temperature with the least cross-entropy on N x classes ``logits`` against N class indices.

    The targets are smoothed by the rule of succession, as Platt scaling does: N slices, all of them right, are evidence
    for one error in N + 2, not for none, and without it a network that makes no error there would become certain of
    everything. Cross-entropy is convex in the temperature's inverse, so its derivative is bisected.
    """
    slices, classes = logits.shape
    logits = logits.double()
    doubt = 1 / (slices + 2)
    smoothed = torch.full_like(logits, doubt / (classes - 1)).scatter_(1, targets[:, None], 1 - doubt)
    aimed = (smoothed * logits).sum()
    low, high = 1 / SOFTEST, 1 / SHARPEST
    for _ in range(BISECTIONS):
        inverse = (low + high) / 2
        # d/d(inverse) of the cross-entropy: what the network expects of its logits, less what the targets do.
        too_sharp = (torch.softmax(inverse * logits, dim=1) * logits).sum() > aimed
        low, high = (low, inverse) if too_sharp else (inverse, high)
    return 2 / (low + high)
