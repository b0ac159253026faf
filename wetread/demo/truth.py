"""Compare known labels with the model's answers: a manifest's labels, and the table of agreement."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wetread.problems import ConfigProblem

MANIFEST = "manifest.json"
NO_RESULT, ABSTAINED = "no result", "abstained"


def labels(folder: Path) -> dict[str, str]:
    """Return labels by file name from the folder's manifest.json; empty if there is none.

    Raises ConfigProblem when the manifest is not in the form ``[{"filename": …, "content": {"label": …}}]``.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        return {str(entry["filename"]): str(entry["content"]["label"]) for entry in json.loads(path.read_text())}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigProblem(
            f"{path} is not a manifest of labels ({type(error).__name__}: {error}).",
            'Write [{"filename": …, "content": {"type": "classification", "label": …}}, …], or remove it.',
        ) from error


@dataclass(frozen=True)
class Agreement:
    """How often each (label, predicted class) occurred.

    The predicted class is ABSTAINED where the model gave none, and NO_RESULT for an unread object.
    """

    counts: Mapping[tuple[str, str], int]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str | None]]) -> Agreement:
        """Count pairs of a label and a predicted class (None: no result)."""
        return cls(Counter((label, predicted or NO_RESULT) for label, predicted in pairs))

    @property
    def total(self) -> int:
        """How many labelled objects there are."""
        return sum(self.counts.values())

    @property
    def agreeing(self) -> int:
        """How many objects the model classified as labelled."""
        return sum(number for (label, predicted), number in self.counts.items() if label == predicted)

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Columns and lines: a line for each label, a column for each answer."""
        truths = sorted({label for label, _ in self.counts})
        found = {predicted for _, predicted in self.counts}
        without = [one for one in (ABSTAINED, NO_RESULT) if one in found]
        answers = sorted(found - set(without) | set(truths)) + without
        lines = [(label, *(str(self.counts.get((label, answer), 0)) for answer in answers)) for label in truths]
        return ("Label", *(answer if answer in without else f"read as {answer}" for answer in answers)), lines
