"""Groups a run's read slices into studies, with each study's label, for the fit of the rule and for the evaluation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aggregation.slices import Slice
from aggregation.study import FEWEST_SLICES
from model_code.snapshot import Case

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Said:
    """What a model says of N slices: N x classes probabilities, where each lies, and on which it abstains."""

    probabilities: Floats
    positions: Sequence[float | None]
    abstained: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Study:
    """The slices of a study. ``label`` is None where its slices' labels contradict each other, or the study's.

    ``line`` is the first of its lines in the manifest, by which a person finds it. ``fold`` is that of its patient.
    """

    line: int
    patient: str
    label: str | None
    slices: tuple[Slice, ...]
    fold: int = 0

    @property
    def is_series(self) -> bool:
        """Whether one of its series has slices enough to be one: a few chosen slices are no study."""
        counts: dict[str, int] = defaultdict(int)
        for one in self.slices:
            counts[one.series] += 1
        return max(counts.values()) >= FEWEST_SLICES


def studies_of(cases: Sequence[Case], said: Said, labels: Sequence[str], reference: str | None) -> list[Study]:
    """Return the studies of the cases, in the order of their first lines; ``said`` is in the order of the cases."""
    of_study: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, case in enumerate(cases):
        of_study[case.patient, case.study].append(at)
    found = [
        Study(
            line=min(cases[at].line for at in rows),
            patient=patient,
            label=label_of([cases[at] for at in rows], reference),
            slices=tuple(_slice(cases[at], said, at, labels) for at in rows),
            fold=cases[rows[0]].fold,
        )
        for (patient, _), rows in of_study.items()
    ]
    return sorted(found, key=lambda study: study.line)


def label_of(cases: Sequence[Case], reference: str | None) -> str | None:
    """Return the label of the study of these slices, None where two labels contradict each other.

    That is the study's label. Without one it is the label that some slice has and that is not the reference: the rest
    of a diseased lung may be normal.
    """
    given = {case.study_label for case in cases if case.study_label}
    of_slices = {case.label for case in cases if case.label}
    shown = (of_slices - {reference}) or of_slices
    if not given:
        return next(iter(shown)) if len(shown) == 1 else None
    contradicted = bool(of_slices - given - {reference})
    return None if contradicted or len(given) > 1 else next(iter(given))


def _slice(case: Case, said: Said, at: int, labels: Sequence[str]) -> Slice:
    return Slice(
        upload_id=case.name,
        series=case.series,
        probabilities=dict(zip(labels, said.probabilities[at].tolist(), strict=True)),
        position=said.positions[at],
        abstained=said.abstained is not None and bool(said.abstained[at]),
    )
