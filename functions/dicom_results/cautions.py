"""What results say in words beside their numbers."""

from __future__ import annotations

from collections.abc import Mapping

NOT_VERIFIED = "AI result for research, not verified by a person"
NO_CLASS = "no class"

CAUTIONS: Mapping[str, str] = {
    "Abstained": "The model gave no class: the study is unlike those that it was trained on.",
    "NoClass": "No class reached its threshold.",
    "Forced": "The study was closed before its sender was done: slices may be missing.",
    "Gaps": "Slices of a series are missing, by their numbers.",
    "Missing": "Slices that the sender named are missing.",
    "Conflicts": "Different objects came with the same UID; the latest counts.",
    "Synthetic": "The model has seen artificial slices only: about a person it says nothing.",
    "FewSlices": "There are few slices.",
    "OutOfDistribution": "Slices are unlike those that the model was trained on.",
    "AggregatorNotFitted": "The rule that makes one score of many slices was not fitted to data.",
    "NoPositions": "The slices do not say where they are, so their order is not known.",
    "NoReferenceClass": "The model has no class that means none of the others.",
}
"""Codes of a study/1 document, in words."""


def sentence(code: str) -> str:
    """Return a caution in words; the code itself where there are none."""
    return CAUTIONS.get(code, f"Caution: {code}.")
