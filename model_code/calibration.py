"""Makes a network's probabilities match how often it is right: by a temperature, and by the classes' frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

# Beyond these bounds the logits are useless: retrain instead of rescaling.
SHARPEST, SOFTEST = 0.1, 10.0
BISECTIONS = 60
# Two classes are nearly tied where their probabilities lie closer than this: a pixel of shift, 10 HU of noise or a
# faster backend can then exchange them.
TIE = 0.1
# Of the validation part. With fewer the temperature is as likely to spoil the probabilities as to mend them: for a true
# 3, medians were 5.9 with 6 patients of one slice and 3.1 with 12 of ten.
FEWEST_PATIENTS = 12


@dataclass(frozen=True)
class Calibration:
    """Probabilities are the softmax of logits / ``temperature`` + ``log_prior``, a number for each class.

    ``reason`` says on what the temperature was fitted, or why it is 1.
    """

    temperature: float
    log_prior: tuple[float, ...]
    reason: str

    @property
    def of_logits(self) -> tuple[float, ...]:
        """What to add to the logits: divided by the temperature it is the log prior."""
        return tuple(self.temperature * one for one in self.log_prior)

    def as_dict(self) -> dict[str, Any]:
        """Return the record for metadata.json."""
        return {"log_prior": [round(one, 6) for one in self.log_prior], "reason": self.reason}


def calibrate(logits: torch.Tensor, targets: torch.Tensor, counts: Sequence[int], patients: int) -> Calibration:
    """Calibrate a network that was trained with class weights on ``counts`` slices of each class.

    ``logits`` and ``targets`` are those of the validation slices, of so many ``patients``.
    """
    log_prior = log_prior_of(counts)
    if patients < FEWEST_PATIENTS:
        return Calibration(
            1.0,
            log_prior,
            f"No temperature was fitted, since the validation part has {patients} patients: {FEWEST_PATIENTS} are "
            "needed, and label more.",
        )
    return Calibration(
        fit_temperature(logits, targets, log_prior),
        log_prior,
        f"The temperature was fitted on {len(targets)} slices of {patients} validation patients.",
    )


def log_prior_of(counts: Sequence[int]) -> tuple[float, ...]:
    """Return what the logits of a network lack that was trained with weights inverse to the classes' counts.

    Such a network learns as if all classes were equally frequent. The logarithm of each class's frequency, in units of
    that, brings the probabilities back to how often the class occurs in the training part. It is 0 for equal counts.
    """
    shares = torch.tensor(list(counts), dtype=torch.double) * len(counts) / sum(counts)
    return tuple(shares.log().tolist())


def probabilities(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the softmax of N x classes ``logits`` divided by ``temperature``; 1 leaves them uncalibrated."""
    return torch.softmax(logits / temperature, dim=1)


def is_tie(probabilities: Sequence[float]) -> bool:
    """Return whether the two highest of one slice's probabilities lie closer than TIE."""
    highest = sorted(probabilities)[-2:]
    return len(highest) == 2 and highest[1] - highest[0] < TIE


def fit_temperature(
    logits: torch.Tensor, targets: torch.Tensor, log_prior: Sequence[float] | torch.Tensor = ()
) -> float:
    """Return the temperature with the least cross-entropy on N x classes ``logits`` against N class indices.

    ``log_prior``, of all or N x classes, is added to the logits after they are divided; () adds nothing.

    The targets are smoothed by the rule of succession, as in Platt scaling: N slices, all right, are evidence for one
    error in N + 2. Without it, a network without errors on them would become certain of everything. Cross-entropy is
    convex in the temperature's inverse, so its derivative is bisected.
    """
    slices, classes = logits.shape
    logits = logits.double()
    shift = torch.as_tensor(log_prior if len(log_prior) else [0.0] * classes, dtype=torch.double)
    doubt = 1 / (slices + 2)
    smoothed = torch.full_like(logits, doubt / (classes - 1)).scatter_(1, targets[:, None], 1 - doubt)
    aimed = (smoothed * logits).sum()
    low, high = 1 / SOFTEST, 1 / SHARPEST
    for _ in range(BISECTIONS):
        inverse = (low + high) / 2
        # d/d(inverse) of the cross-entropy: the expected logit under the network less that under the targets.
        too_sharp = (torch.softmax(inverse * logits + shift, dim=1) * logits).sum() > aimed
        low, high = (low, inverse) if too_sharp else (inverse, high)
    return 2 / (low + high)
