"""The model gate's rules: whether a candidate is good enough, and not worse than the champion.

And, before any of a run's training is paid for, whether its test part has the patients that these rules ask for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

from functions.domain.against import FIRST_INTERVAL, first_level_of, is_too_wide
from functions.domain.checks import Asks, Check, End, reasons_of
from functions.domain.evaluation import (
    Calibration,
    ClassFigures,
    Evaluation,
    Figure,
    Measured,
    OutOfFold,
    Paired,
    StudyFigures,
    Subgroup,
)
from functions.domain.ranges import FRACTION, Range
from functions.domain.small_samples import (
    AUC_CONTINUOUS,
    FEWEST_PATIENTS,
    comparison_needs,
    first_model_needs,
    lower_end,
)
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
    max_subgroup_drop: Annotated[float, FRACTION] = 0.25  # and beyond chance
    min_study_sensitivity: Annotated[float, FRACTION] = (
        0.0  # of whole studies of every class but the reference; 0: none
    )
    subgroup_min_patients: Annotated[int, Range(1, 1_000_000)] = 5  # a smaller subgroup's figures say nothing


MOST_ODDS_TOO_SURE = 20.0
"""More would come by chance in 1 of 20 runs at most, if the model's probabilities held."""


def shortcomings(evaluation: Evaluation, thresholds: Thresholds, *, against_champion: bool) -> list[Reason]:
    """Return every reason against a candidate; ``against_champion`` is whether the run found a champion."""
    if against_champion != (evaluation.champion is not None):
        measured = "has" if evaluation.champion else "lacks"
        message = f"The evaluation {measured} a champion, unlike the run; start the run again."
        return [Reason(code=ModelProblem.MALFORMED_EVALUATION, message=message)]
    return reasons_of(checks(evaluation, thresholds, against_champion=against_champion))


def checks(evaluation: Evaluation, thresholds: Thresholds, *, against_champion: bool) -> list[Check]:
    """Return every threshold with the candidate's figure; those that do not hold have their reason."""
    by_low = thresholds.lower_bound and not against_champion
    candidate = _at_attempt(evaluation.candidate, evaluation.attempt or 1) if by_low else evaluation.candidate
    return [
        _at_least(
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
        *_studies(candidate.study, thresholds.min_study_sensitivity, by_low=by_low),
        *_calibration(candidate, thresholds.max_calibration_error),
        _coverage(candidate),
        *([_against_champion(evaluation.paired, thresholds.champion_margin)] if evaluation.paired else ()),
        *([_whole(evaluation.out_of_fold, candidate.balanced_accuracy)] if evaluation.out_of_fold else ()),
        *(one for subgroup in candidate.subgroups for one in _subgroup(subgroup, candidate, thresholds)),
    ]


def _at_attempt(measured: Measured, attempt: int) -> Measured:
    """Return a first model's figures with the lower ends at the level of an attempt; those of the first are of 95 %."""
    if attempt == 1:
        return measured

    def lowered(figure: Figure, continuous: float = 0.0) -> Figure:
        if figure.value is None or figure.low is None:
            return figure
        return replace(figure, low=lower_end(figure.value, figure.low, first_level_of(attempt), continuous))

    def of_classes(classes: Mapping[str, ClassFigures]) -> dict[str, ClassFigures]:
        return {
            label: replace(
                one,
                sensitivity=lowered(one.sensitivity),
                specificity=lowered(one.specificity),
                auc=lowered(one.auc, AUC_CONTINUOUS),
            )
            for label, one in classes.items()
        }

    study = measured.study and replace(measured.study, classes=of_classes(measured.study.classes))
    balanced = lowered(measured.balanced_accuracy)
    return replace(measured, balanced_accuracy=balanced, classes=of_classes(measured.classes), study=study)


def too_few_patients(
    patients: Mapping[str, int], thresholds: Thresholds, *, against_champion: bool, folds: int = 0
) -> list[Reason]:
    """Return a reason if the tested ``patients`` of a class are too few for any candidate to pass.

    That is, for one without a mistake where there is no champion, and else for one that reads every slice as it does:
    on the first attempt on these patients, none of whom the champion was trained on. By ``folds`` every labelled
    patient is tested, and not the test part alone.
    """
    classes, code = len(patients), Risk.TOO_FEW_PATIENTS
    needed: int | None = FEWEST_PATIENTS
    what = "a figure is given at all"
    if against_champion:
        code = Risk.TOO_FEW_TO_COMPARE
        needed = comparison_needs(thresholds.champion_margin, classes, FIRST_INTERVAL, folds)
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


def _class(label: str, figures: ClassFigures, thresholds: Thresholds, *, by_low: bool) -> list[Check]:
    asked = (
        (ModelProblem.SENSITIVITY_TOO_LOW, "sensitivity", figures.sensitivity, thresholds.min_sensitivity),
        (ModelProblem.SPECIFICITY_TOO_LOW, "specificity", figures.specificity, thresholds.min_specificity),
        (ModelProblem.AUC_TOO_LOW, "AUC", figures.auc, thresholds.min_auc),
    )
    return [
        _at_least(code, f"{what} for {label}", figure, threshold, by_low=by_low)
        for code, what, figure, threshold in asked
    ]


def _studies(study: StudyFigures | None, least: float, *, by_low: bool) -> list[Check]:
    """Return the checks of the sensitivity for whole studies; none where the stage does not ask."""
    if not least:
        return []
    code, what = ModelProblem.STUDY_SENSITIVITY_TOO_LOW, "sensitivity of studies"
    if study is None:
        message = (
            f"The {what} is undefined: no study of the test part has the labelled slices of a series. Label whole "
            "series, or do not ask for min_study_sensitivity."
        )
        undefined = Figure(value=None, low=None, high=None)
        reason = Reason(code=ModelProblem.UNDEFINED_METRIC, message=message)
        return [Check(what=what, figure=undefined, asks=Asks.AT_LEAST, bound=least, reason=reason)]
    return [
        _at_least(code, f"{what} for {label}", figures.sensitivity, least, by_low=by_low)
        for label, figures in study.classes.items()
        if label != study.reference
    ]


def _at_least(code: ModelProblem, what: str, figure: Figure, threshold: float, *, by_low: bool) -> Check:
    """Return the check whether a figure, or the lower end of its interval, reaches the threshold."""
    reason = _below(code, what, figure, threshold, by_low=by_low)
    end = End.LOW if by_low else End.VALUE
    return Check(what=what, figure=figure, asks=Asks.AT_LEAST, bound=threshold, end=end, reason=reason)


def _below(code: ModelProblem, what: str, figure: Figure, threshold: float, *, by_low: bool) -> Reason | None:
    """Return a reason unless a figure, or the lower end of its interval, reaches the threshold."""
    if figure.value is None or (by_low and figure.low is None):
        return _undefined(what, too_few=figure.too_few)
    reached = figure.low if by_low else figure.value
    if reached is not None and reached >= threshold:
        return None
    said = f"is {figure.value:.3f}" + (f", and may be {figure.low:.3f} by its interval" if by_low else "")
    asks = f"{threshold:g} at least{' for the lower of the two' if by_low else ''}"
    more = " More test patients make the interval narrower." if figure.value >= threshold else ""
    return Reason(code=code, message=f"The {what} {said}; this stage asks for {asks}.{more}")


def _calibration(candidate: Measured, most: float) -> list[Check]:
    if candidate.calibration:
        return _probabilities(candidate.calibration, most)
    error, reason = candidate.calibration_error, None
    if error is None:
        reason = _undefined("calibration error (ECE)")
    elif error > most:
        message = f"The calibration error (ECE) is {error:.3f}; this stage takes {most:g} at most."
        reason = Reason(code=ModelProblem.CALIBRATION_TOO_POOR, message=message)
    figure = Figure(value=error, low=None, high=None)
    return [Check(what="calibration error (ECE)", figure=figure, asks=Asks.AT_MOST, bound=most, reason=reason)]


def too_poor(calibration: Calibration, most: float) -> list[Reason]:
    """Return the reasons against a model's probabilities, each only where the test part shows it beyond chance."""
    return reasons_of(_probabilities(calibration, most))


def _probabilities(calibration: Calibration, most: float) -> list[Check]:
    too_sure = too_wrong = ""
    if calibration.odds_too_sure >= MOST_ODDS_TOO_SURE:
        too_sure = (
            f"Softer probabilities predict the test labels {calibration.odds_too_sure:,.0f} times better than the "
            f"model's own; {MOST_ODDS_TOO_SURE:g} times come by chance in 1 of 20 runs at most. The model is too sure "
            "of itself, or a label is wrong: look at the worst cases in the report. More validation patients set the "
            "temperature better."
        )
    if calibration.error_low is not None and calibration.error_low > most:
        too_wrong = (
            f"The calibration error is {calibration.error:.3f}, and at least {calibration.error_low:.3f} (95 %); this "
            f"stage takes {most:g} at most."
        )
    odds = Figure(value=calibration.odds_too_sure, low=None, high=None)
    error = Figure(value=calibration.error, low=calibration.error_low, high=calibration.error_high)
    code = ModelProblem.CALIBRATION_TOO_POOR
    return [
        Check(
            what="odds that the model is too sure of itself",
            figure=odds,
            asks=Asks.BELOW,
            bound=MOST_ODDS_TOO_SURE,
            reason=Reason(code=code, message=too_sure) if too_sure else None,
        ),
        Check(
            what="calibration error",
            figure=error,
            asks=Asks.AT_MOST,
            bound=most,
            end=End.LOW,
            reason=Reason(code=code, message=too_wrong) if too_wrong else None,
        ),
    ]


def _coverage(candidate: Measured) -> Check:
    """Return the check whether the candidate abstains on few test cases: its figures are of all cases."""
    figure = Figure(value=candidate.coverage, low=None, high=None)
    what, asks = "share of the test part that is answered", Asks.AT_LEAST
    if candidate.coverage >= LEAST_COVERAGE:
        return Check(what=what, figure=figure, asks=asks, bound=LEAST_COVERAGE)
    message = (
        f"The candidate abstains on {1 - candidate.coverage:.1%} of the test part as unlike its training; at most "
        f"{1 - LEAST_COVERAGE:.0%} is taken. Are the parts alike: the same scanners, the same levels of the body?"
    )
    reason = Reason(code=ModelProblem.COVERAGE_TOO_LOW, message=message)
    return Check(what=what, figure=figure, asks=asks, bound=LEAST_COVERAGE, reason=reason)


def _whole(found: OutOfFold, by_folds: Figure) -> Check:
    """Return the check whether the model of all patients reads what it was trained on as well as the folds' the unseen.

    If not, something befell its training, and the folds' figures are not what it would give.
    """
    what = "balanced accuracy of the model of all patients, on what it was trained on"
    low = by_folds.low if by_folds.low is not None else by_folds.value
    reason = None
    if found.whole is None:
        reason = _undefined("balanced accuracy of the model of all patients")
    elif low is not None and found.whole < low:
        message = (
            f"The model that was trained on all patients has a balanced accuracy of {found.whole:.3f} on the very "
            f"slices that it was trained on; the {found.folds} folds' models have {by_folds.value:.3f} (at least "
            f"{low:.3f}) on slices that they never saw. Its training went wrong: start the run again, with another "
            "seed."
        )
        reason = Reason(code=ModelProblem.WHOLE_WORSE_THAN_FOLDS, message=message)
    figure = Figure(value=found.whole, low=None, high=None)
    return Check(what=what, figure=figure, asks=Asks.AT_LEAST, bound=low or 0.0, reason=reason)


def _against_champion(paired: Paired, margin: float) -> Check:
    """Return the check whether the candidate is shown to be no worse than the champion by more than the margin."""
    return Check(
        what="balanced accuracy less the champion's, on the same cases",
        figure=paired.difference,
        asks=Asks.AT_LEAST,
        bound=-margin,
        end=End.LOW,
        reason=_worse(paired, margin),
    )


def _worse(paired: Paired, margin: float) -> Reason | None:
    """Return a reason unless the candidate is shown to be no worse than the champion by more than the margin.

    It is another reason where the patients are too few to tell, though the candidate does not seem worse by so much.
    """
    found = paired.difference
    if found.too_few:
        message = (
            "The test part has too few patients of a class to compare the candidate with the champion. Label more "
            "patients; or accept this risk, and a person decides by the report."
        )
        return Reason(code=Risk.TOO_FEW_TO_COMPARE, message=message)
    if found.value is None or found.low is None:
        return _undefined("difference in balanced accuracy to the champion")
    if found.low >= -margin:
        return None
    if is_too_wide(found.value, found.low, margin):
        message = (
            f"The candidate's balanced accuracy differs from the champion's by {found.value:+.3f} on the same cases, "
            f"and may be {-found.low:.3f} below it (95 %); this stage takes {margin:g} at most. Too few patients "
            "to tell. Label more; or accept this risk, and a person decides by the report."
        )
        return Reason(code=Risk.TOO_FEW_TO_COMPARE, message=message)
    message = (
        f"The candidate's balanced accuracy may be up to {-found.low:.3f} below the champion's on the same cases "
        f"(95 %); this stage takes {margin:g} at most. More test patients make the interval narrower."
    )
    return Reason(code=ModelProblem.WORSE_THAN_CHAMPION, message=message)


def _subgroup(subgroup: Subgroup, candidate: Measured, thresholds: Thresholds) -> list[Check]:
    """Return the check whether a subgroup is far below the whole; none of one that is too small to judge.

    Of a dozen small subgroups one may be far below by chance, so its interval must be below the whole, too.
    """
    whole, part = candidate.balanced_accuracy.value, subgroup.balanced_accuracy
    if subgroup.patients < thresholds.subgroup_min_patients or part.too_few or whole is None:
        return []
    name, drop, reason = f"{subgroup.attribute} {subgroup.value}", thresholds.max_subgroup_drop, None
    what = f"balanced accuracy of {name}"
    if part.value is None:
        reason = _undefined(what)
    elif part.high is None:  # a class of a single patient
        return []
    elif whole - part.value > drop and part.high < whole:
        message = (
            f"In {name} ({subgroup.patients} patients) the balanced accuracy is {part.value:.3f}, "
            f"{whole - part.value:.3f} below that of all, and {part.high:.3f} at most (95 %); this stage takes "
            f"{drop:g} below that of all, or what may be chance."
        )
        reason = Reason(code=ModelProblem.SUBGROUP_COLLAPSE, message=message)
    return [Check(what=f"{what}, unless by chance", figure=part, asks=Asks.AT_LEAST, bound=whole - drop, reason=reason)]


def _undefined(what: str, *, too_few: bool = False) -> Reason:
    why = "has too few patients to say: label more" if too_few else "is undefined on the test part; it needs cases"
    message = f"The {what} {why} of every class."
    return Reason(code=ModelProblem.UNDEFINED_METRIC, message=message)
