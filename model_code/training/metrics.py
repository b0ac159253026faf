"""The metrics of a validation pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Metrics:
    """``loss``: mean cross-entropy; ``accuracy``; ``balanced_accuracy``: the mean of the classes' recalls."""

    loss: float
    accuracy: float
    balanced_accuracy: float
    recalls: Mapping[str, float]

    def better_than(self, other: Metrics | None) -> bool:
        """Return whether this is better: by balanced accuracy, so that a rare class counts as much, then by loss."""
        if other is None:
            return True
        return (self.balanced_accuracy, -self.loss) > (other.balanced_accuracy, -other.loss)

    def as_dict(self) -> dict[str, float]:
        """Return the metrics for metadata.json, rounded to four decimals."""
        values = {"loss": self.loss, "accuracy": self.accuracy, "balanced_accuracy": self.balanced_accuracy}
        values |= {f"recall_{label}": recall for label, recall in self.recalls.items()}
        return {f"val_{name}": round(value, 4) for name, value in values.items()}


def measure(probabilities: torch.Tensor, targets: torch.Tensor, labels: tuple[str, ...]) -> Metrics:
    """Return the metrics of N x classes probabilities for N class indices; a class without slices has no recall."""
    correct = probabilities.argmax(dim=1) == targets
    true_class = probabilities.gather(1, targets[:, None]).clamp_min(torch.finfo(probabilities.dtype).tiny)
    recalls = {
        label: float(correct[targets == index].double().mean())
        for index, label in enumerate(labels)
        if bool((targets == index).any())
    }
    return Metrics(
        loss=float(-true_class.log().mean()),
        accuracy=float(correct.double().mean()),
        balanced_accuracy=sum(recalls.values()) / len(recalls),
        recalls=recalls,
    )
