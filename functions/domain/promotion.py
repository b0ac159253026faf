"""The model gate's rules: whether a candidate is good enough, and not worse than the champion.

And, before any of a run's training is paid for, whether its test part has the patients that these rules ask for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from functions.domain.evaluation import (
    Calibration,
    ClassFigures,
    Evaluation,
    Figure,
    Measured,
    OutOfFold,
    Paired,
    Subgroup,
)
from functions.domain.ranges import FRACTION, Range
from functions.domain.small_samples import FEWEST_PATIENTS, comparison_needs, first_model_needs
from functions.domain.split import HELD_OUT
from functions.domain.verdict import ModelProblem, Reason, Risk

# The share of the test part that a candidate must answer. Its threshold aims at 0.95 of slices like the training's.
LEAST_COVERAGE = 0.75


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """A stage's requirements for a candidate; all but the number of patients and ``lower_bound`` are fractions of 1."""

    min_balanced_accuracy: Annotated[float, FRACTION] = 0.7
    min_sensitivity: Annotated[float, FRACTION] = 0.6  # of every class, as are specificity and AUC
    min_specificity: Annotated[float, FRACTION] = 0.6
    min_auc: Annotated[float, FRACTION] = 0.75
    # A first model, which is compared with none, reaches these with the lower ends of its intervals, not by chance.
    lower_bound: bool = True
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
    candidate, by_low = evaluation.candidate, thresholds.lower_bound and not against_champion
    return [
        *_at_least(
            ModelProblem.BALANCED_ACCURACY_TOO_LOW,
            "balanced accuracy",
            candidate.balanced_accuracy,
            thresholds.min_balanced_accuracy,
            by_low=by_low,
        ),
        *(
            one
            for label in evaluation.labels
            for one in _class(label, candidate.classes[label], thresholds, by_low=by_low)
        ),
        *_calibration(candidate, thresholds.max_calibration_error),
        *_coverage(candidate),
        *(_against_champion(evaluation.paired, thresholds.champion_margin) if evaluation.paired else ()),
        *(_whole(evaluation.out_of_fold, candidate.balanced_accuracy) if evaluation.out_of_fold else ()),
        *(one for subgroup in candidate.subgroups for one in _subgroup(subgroup, candidate, thresholds)),
    ]


def too_few_patients(
    patients: Mapping[str, int], thresholds: Thresholds, *, against_champion: bool, folds: int = 0
) -> list[Reason]:
    """Return a reason if the tested ``patients`` of a class are too few for any candidate to pass.

    That is, for one without a mistake where there is no champion, and else for one that reads every slice as it does.
    By ``folds`` every labelled patient is tested, and not the test part alone.
    """
    classes, code = len(patients), Risk.TOO_FEW_PATIENTS
    needed: int | None = FEWEST_PATIENTS
    what = "a figure is given at all"
    if against_champion:
        code = Risk.TOO_FEW_TO_COMPARE
        needed = comparison_needs(thresholds.champion_margin, classes, folds)
        what = (
            "a model that reads every slice as the champion does is shown to be worse by no more than "
            f"{thresholds.champion_margin:g}"
        )
    elif thresholds.lower_bound:
        least = (thresholds.min_balanced_accuracy, thresholds.min_sensitivity, thresholds.min_specificity)
        needed = first_model_needs(*least, classes=classes)
        what = "a model without mistakes reaches this stage's thresholds with the lower ends of its intervals"
    short = {label: count for label, count in patients.items() if needed is None or count < needed}
    if not short:
        return []
    has = ", ".join(f"{label} {count}" for label, count in short.items())
    enough = (
        "No number of patients is enough for that: change the thresholds."
        if needed is None
        else f"It takes {needed} patients of each class"
        + ("." if folds else f", about {math.ceil(needed / HELD_OUT)} labelled ones of each.")
    )
    tested = "cohort" if folds else "test part"
    message = f"The {tested} is too small ({has} patients) for this: {what}. {enough}"
    return [Reason(code=code, message=message)]


def _class(label: str, figures: ClassFigures, thresholds: Thresholds, *, by_low: bool) -> list[Reason]:
    asked = (
        (ModelProblem.SENSITIVITY_TOO_LOW, "sensitivity", figures.sensitivity, thresholds.min_sensitivity),
        (ModelProblem.SPECIFICITY_TOO_LOW, "specificity", figures.specificity, thresholds.min_specificity),
        (ModelProblem.AUC_TOO_LOW, "AUC", figures.auc, thresholds.min_auc),
    )
    return [
        one
        for code, what, figure, threshold in asked
        for one in _at_least(code, f"{what} for {label}", figure, threshold, by_low=by_low)
    ]


def _at_least(code: ModelProblem, what: str, figure: Figure, threshold: float, *, by_low: bool) -> list[Reason]:
    """Return a reason unless a figure, or the lower end of its interval, reaches the threshold."""
    if figure.value is None or (by_low and figure.low is None):
        return [_undefined(what, too_few=figure.too_few)]
    reached = figure.low if by_low else figure.value
    if reached is not None and reached >= threshold:
        return []
    said = f"is {figure.value:.3f}" + (f", and may be {figure.low:.3f} (95 %)" if by_low else "")
    asks = f"{threshold:g} at least{' for the lower of the two' if by_low else ''}"
    more = " More test patients make the interval narrower." if figure.value >= threshold else ""
    return [Reason(code=code, message=f"The {what} {said}; this stage asks for {asks}.{more}")]


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


def _coverage(candidate: Measured) -> list[Reason]:
    """Return a reason if the candidate abstains on too many test cases: its figures are of all cases."""
    if candidate.coverage >= LEAST_COVERAGE:
        return []
    message = (
        f"The candidate abstains on {1 - candidate.coverage:.1%} of the test part as unlike its training; at most "
        f"{1 - LEAST_COVERAGE:.0%} is taken. Are the parts alike: the same scanners, the same levels of the body?"
    )
    return [Reason(code=ModelProblem.COVERAGE_TOO_LOW, message=message)]


def _whole(found: OutOfFold, by_folds: Figure) -> list[Reason]:
    """Return a reason if the model of all patients is worse, on what it was trained on, than the folds' on unseen.

    Then something befell its training, and the folds' figures are not what it would give.
    """
    if found.whole is None:
        return [_undefined("balanced accuracy of the model of all patients")]
    low = by_folds.low if by_folds.low is not None else by_folds.value
    if low is None or found.whole >= low:
        return []
    message = (
        f"The model that was trained on all patients has a balanced accuracy of {found.whole:.3f} on the very slices "
        f"that it was trained on; the {found.folds} folds' models have {by_folds.value:.3f} (at least {low:.3f}) on "
        "slices that they never saw. Its training went wrong: start the run again, with another seed."
    )
    return [Reason(code=ModelProblem.WHOLE_WORSE_THAN_FOLDS, message=message)]


def _against_champion(paired: Paired, margin: float) -> list[Reason]:
    """Return a reason unless the candidate is shown to be no worse than the champion by more than the margin.

    It is another reason where the patients are too few to tell, though the candidate does not seem worse by so much.
    """
    found = paired.difference
    if found.too_few:
        message = (
            "The test part has too few patients of a class to compare the candidate with the champion. Label more "
            "patients; or accept this risk, and a person decides by the report."
        )
        return [Reason(code=Risk.TOO_FEW_TO_COMPARE, message=message)]
    if found.value is None or found.low is None:
        return [_undefined("difference in balanced accuracy to the champion")]
    if found.low >= -margin:
        return []
    if found.value >= -margin and found.value - found.low > margin:
        message = (
            f"The candidate's balanced accuracy differs from the champion's by {found.value:+.3f} on the same cases, "
            f"and may be {-found.low:.3f} below it (95 %); this stage takes {margin:g} at most. Too few patients "
            "to tell. Label more; or accept this risk, and a person decides by the report."
        )
        return [Reason(code=Risk.TOO_FEW_TO_COMPARE, message=message)]
    message = (
        f"The candidate's balanced accuracy may be up to {-found.low:.3f} below the champion's on the same cases "
        f"(95 %); this stage takes {margin:g} at most. More test patients make the interval narrower."
    )
    return [Reason(code=ModelProblem.WORSE_THAN_CHAMPION, message=message)]


def _subgroup(subgroup: Subgroup, candidate: Measured, thresholds: Thresholds) -> list[Reason]:
    """Return a reason if a subgroup is large enough to judge, and far below the whole."""
    whole, part = candidate.balanced_accuracy.value, subgroup.balanced_accuracy
    if subgroup.patients < thresholds.subgroup_min_patients or part.too_few or whole is None:
        return []
    name = f"{subgroup.attribute} {subgroup.value}"
    if part.value is None:
        return [_undefined(f"balanced accuracy of {name}")]
    drop = whole - part.value
    if drop <= thresholds.max_subgroup_drop:
        return []
    message = (
        f"In {name} ({subgroup.patients} patients) the balanced accuracy is {part.value:.3f}, "
        f"{drop:.3f} below that of all; this stage takes {thresholds.max_subgroup_drop:g} at most."
    )
    return [Reason(code=ModelProblem.SUBGROUP_COLLAPSE, message=message)]


def _undefined(what: str, *, too_few: bool = False) -> Reason:
    why = "has too few patients to say: label more" if too_few else "is undefined on the test part; it needs cases"
    message = f"The {what} {why} of every class."
    return Reason(code=ModelProblem.UNDEFINED_METRIC, message=message)
