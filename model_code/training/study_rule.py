"""Decides how a model reads studies: by a rule fitted on patients that it has not learnt from, or by the simple rule.

These are the validation part's, and those of the training part who have labels of studies alone; or with folds all,
each read by the model that was trained without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from aggregation.rule import MOST_CLASSES, REFERENCE, SIMPLE, Rule
from model_code.backends.backend import Outputs
from model_code.calibration import Calibration
from model_code.snapshot import Case, Snapshot, Split
from model_code.studies import Said, Study, studies_of
from model_code.training.study_regression import fitted, series_of
from model_code.typicality import Typicality

# Whose studies are series: with fewer, a regression on six numbers says more of these patients than of the next.
FEWEST_PATIENTS = 20
FEWEST_OF_A_CLASS = 5

Positions = Mapping[int, float | None]
"""Where each case lies in its series, by its line."""


@dataclass(frozen=True)
class StudyRule:
    """The rule of an artifact, on how many studies and patients it was fitted, and a sentence that says so."""

    rule: Rule
    studies: int
    patients: int
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return the record for metadata.json."""
        return {"studies": self.studies, "patients": self.patients, "reason": self.reason}


def fit_rule(studies: Sequence[Study], labels: Sequence[str], sensitivity: float = 0.0) -> StudyRule:
    """Return the rule fitted on the studies that are series, or the simple rule where these are too few.

    ``sensitivity`` as that of ``fitted``.
    """
    reference = SIMPLE.reference_of(labels)
    if reference is None:
        return StudyRule(SIMPLE, 0, 0, f"The simple rule: no class is {REFERENCE!r}, so there is no reference class.")
    usable = [study for study in studies if study.label is not None and study.is_series and series_of(study)]
    patients = {label: {one.patient for one in usable if one.label == label} for label in labels}
    total = len(set().union(*patients.values()))
    simple = Rule(reference=reference)
    if total < FEWEST_PATIENTS or min(map(len, patients.values())) < FEWEST_OF_A_CLASS or len(labels) > MOST_CLASSES:
        counted = ", ".join(f"{len(of)} {label}" for label, of in patients.items())
        return StudyRule(
            simple,
            len(usable),
            total,
            f"The simple rule: {total} validation patients have whole series ({counted}); {FEWEST_PATIENTS} with "
            f"{FEWEST_OF_A_CLASS} of each class are needed, and {MOST_CLASSES} classes at most.",
        )
    rule = fitted(usable, [label for label in labels if label != reference], simple, sensitivity)
    return StudyRule(
        rule, len(usable), total, f"The rule was fitted on {len(usable)} studies of {total} validation patients."
    )


def studies_read(
    cases: Sequence[Case],
    positions: Positions,
    said: Outputs,
    calibrated: Calibration,
    typical: Typicality | None,
    labels: Sequence[str],
) -> list[Study]:
    """Return the studies of cases, of which the network says logits and features; ``typical`` is what abstains."""
    powers = said.logits.double() / calibrated.temperature + torch.tensor(calibrated.log_prior, dtype=torch.double)
    abstained = None
    if typical and said.features is not None:
        abstained = np.array([typical.abstains(one) for one in typical.scores(said.features).tolist()], np.bool_)
    read = Said(torch.softmax(powers, dim=1).numpy(), [positions.get(case.line) for case in cases], abstained)
    return studies_of(cases, read, labels, SIMPLE.reference_of(labels))


def unseen_slices(taken: Snapshot) -> list[Case]:
    """Return the slices without a label of patients from whom the network does not learn.

    These are the validation part's, and of the training part's patients those without any labelled slice.
    """
    learnt = {case.patient for case in taken.of(Split.TRAIN)}
    return [case for case in taken.unlabelled if case.split is not Split.TEST and case.patient not in learnt]
