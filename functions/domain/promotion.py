"""The model gate's rules: whether a candidate is good enough, and not worse than the champion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from functions.domain.evaluation import Calibration, ClassFigures, Evaluation, Measured, Subgroup
from functions.domain.ranges import FRACTION, Range
from functions.domain.verdict import ModelProblem, Reason


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """A stage's requirements for a candidate; all but the number of patients are fractions of 1."""

    min_balanced_accuracy: Annotated[float, FRACTION] = 0.7
    min_sensitivity: Annotated[float, FRACTION] = 0.6  # of every class, as are specificity and AUC
    min_specificity: Annotated[float, FRACTION] = 0.6
    min_auc: Annotated[float, FRACTION] = 0.75
    max_calibration_error: Annotated[float, FRACTION] = 0.1  # for the lower end of its interval
    champion_margin: Annotated[float, FRACTION] = 0.05  # how much worse than the champion it may seem, by chance
    max_subgroup_drop: Annotated[float, FRACTION] = 0.25
    subgroup_min_patients: Annotated[int, Range(1, 1_000_000)] = 5  # a smaller subgroup's figures say nothing


MOST_ODDS_TOO_SURE = 20.0
"""More would come by chance in 1 of 20 runs at most, if the model's probabilities held."""


def shortcomings(evaluation: Evaluation, thresholds: Thresholds, *, against_champion: bool) -> list[Reason]:
    """Return every reason against a candidate; ``against_champion`` is whether the run found a champion."""
    if against_champion != (evaluation.champion is not None):
        measured = "has" if evaluation.champion else "lacks"
        message = f"The evaluation {measured} a champion, unlike the run; start the run again."
        return [Reason(code=ModelProblem.MALFORMED_EVALUATION, message=message)]
    candidate = evaluation.candidate
    return [
        *_at_least(
            ModelProblem.BALANCED_ACCURACY_TOO_LOW,
            "balanced accuracy",
            candidate.balanced_accuracy,
            thresholds.min_balanced_accuracy,
        ),
        *(one for label in evaluation.labels for one in _class(label, candidate.classes[label], thresholds)),
        *_calibration(candidate, thresholds.max_calibration_error),
        *(_against_champion(evaluation, thresholds.champion_margin) if against_champion else ()),
        *(one for subgroup in candidate.subgroups for one in _subgroup(subgroup, candidate, thresholds)),
    ]


def _class(label: str, figures: ClassFigures, thresholds: Thresholds) -> list[Reason]:
    return [
        *_at_least(
            ModelProblem.SENSITIVITY_TOO_LOW,
            f"sensitivity for {label}",
            figures.sensitivity,
            thresholds.min_sensitivity,
        ),
        *_at_least(
            ModelProblem.SPECIFICITY_TOO_LOW,
            f"specificity for {label}",
            figures.specificity,
            thresholds.min_specificity,
        ),
        *_at_least(ModelProblem.AUC_TOO_LOW, f"AUC for {label}", figures.auc, thresholds.min_auc),
    ]


def _at_least(code: ModelProblem, what: str, value: float | None, threshold: float) -> list[Reason]:
    if value is None:
        return [_undefined(what)]
    if value >= threshold:
        return []
    return [Reason(code=code, message=f"The {what} is {value:.3f}; this stage asks for {threshold:g} at least.")]


def _calibration(candidate: Measured, most: float) -> list[Reason]:
    if candidate.calibration:
        return too_poor(candidate.calibration, most)
    error = candidate.calibration_error
    if error is None:
        return [_undefined("calibration error (ECE)")]
    if error <= most:
        return []
    message = f"The calibration error (ECE) is {error:.3f}; this stage takes {most:g} at most."
    return [Reason(code=ModelProblem.CALIBRATION_TOO_POOR, message=message)]


def too_poor(calibration: Calibration, most: float) -> list[Reason]:
    """Return the reasons against a model's probabilities, each only where the test part shows it beyond chance."""
    found: list[str] = []
    if calibration.odds_too_sure >= MOST_ODDS_TOO_SURE:
        found.append(
            f"Softer probabilities predict the test labels {calibration.odds_too_sure:,.0f} times better than the "
            f"model's own; {MOST_ODDS_TOO_SURE:g} times come by chance in 1 of 20 runs at most. The model is too sure "
            "of itself, or a label is wrong: look at the worst cases in the report. More validation patients set the "
            "temperature better."
        )
    if calibration.error_low is not None and calibration.error_low > most:
        found.append(
            f"The calibration error is {calibration.error:.3f}, and at least {calibration.error_low:.3f} (95 %); this "
            f"stage takes {most:g} at most."
        )
    return [Reason(code=ModelProblem.CALIBRATION_TOO_POOR, message=message) for message in found]


def _against_champion(evaluation: Evaluation, margin: float) -> list[Reason]:
    low = evaluation.difference_low
    if low is None:
        return [_undefined("difference in balanced accuracy to the champion")]
    if low >= -margin:
        return []
    message = (
        f"The candidate's balanced accuracy may be up to {-low:.3f} below the champion's on the same cases (95 %); "
        f"this stage takes {margin:g} at most. More test patients make the interval narrower."
    )
    return [Reason(code=ModelProblem.WORSE_THAN_CHAMPION, message=message)]


def _subgroup(subgroup: Subgroup, candidate: Measured, thresholds: Thresholds) -> list[Reason]:
    """Return a reason if a subgroup is large enough to judge, and far below the whole."""
    if subgroup.patients < thresholds.subgroup_min_patients or candidate.balanced_accuracy is None:
        return []
    name = f"{subgroup.attribute} {subgroup.value}"
    if subgroup.balanced_accuracy is None:
        return [_undefined(f"balanced accuracy of {name}")]
    drop = candidate.balanced_accuracy - subgroup.balanced_accuracy
    if drop <= thresholds.max_subgroup_drop:
        return []
    message = (
        f"In {name} ({subgroup.patients} patients) the balanced accuracy is {subgroup.balanced_accuracy:.3f}, "
        f"{drop:.3f} below that of all; this stage takes {thresholds.max_subgroup_drop:g} at most."
    )
    return [Reason(code=ModelProblem.SUBGROUP_COLLAPSE, message=message)]


def _undefined(what: str) -> Reason:
    message = f"The {what} is undefined on the test part; it needs cases of every class."
    return Reason(code=ModelProblem.UNDEFINED_METRIC, message=message)
