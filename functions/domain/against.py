"""How far a candidate may be below champion and reference, by the count of attempts; and what it is then a champion of.

The more runs were measured on the same patients, the more likely one of them seems good by chance. So attempt k may be
wrong with LEVEL / (k (k + 1)): these add up to LEVEL over any number of attempts, however they depend on each other.

The margin is allowed once, not at every promotion: a new champion is compared with the reference, too, and becomes the
reference itself only where it is shown to be better. Where the reference is gone, what the champion may be behind it
has used up a part of the margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from functions.domain.checks import Asks, Check, End, reasons_of
from functions.domain.evaluation import Against, Evaluation, Figure
from functions.domain.training_run import ComparedChampion, TrainingRun
from functions.domain.verdict import ModelProblem, Reason, Risk

LEVEL = 0.025  # not 0.05: Student's t passes up to twice its level where errors are few (assurance.gates reuse)
FIRST_LEVEL = 0.05  # of a first model's thresholds, whose intervals hold their level
CODES = {"Champion": ModelProblem.WORSE_THAN_CHAMPION, "Reference": ModelProblem.WORSE_THAN_REFERENCE}
JUDGED = frozenset({"WorseThanChampion", "TooFewToCompare"})  # codes with which the champion is judged already


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A version's place among the champions: its ``reference`` ("" for itself), and how far it may be ``behind``."""

    reference: str = ""
    behind: float = 0.0


def level_of(attempt: int) -> float:
    """Return how likely attempt ``attempt`` (from 1) on the same patients may pass a candidate that it should not."""
    return LEVEL / (attempt * (attempt + 1))


def first_level_of(attempt: int) -> float:
    """Return how likely the interval of a first model's figure may lie above the truth on attempt ``attempt``."""
    return FIRST_LEVEL / (attempt * (attempt + 1))


FIRST_INTERVAL = 1 - 2 * level_of(1)
"""The level of the two-sided interval whose lower end decides about the first attempt."""


def shortcomings(
    evaluation: Evaluation, run: TrainingRun, margin: float, attempt: int | None, judged: Sequence[Reason]
) -> list[Reason]:
    """Return why a candidate may be too far below champion or reference; ``judged`` are the reasons that are known.

    ``attempt`` is None of an execution that began before attempts were counted; it is judged as the first.
    """
    if evaluation.attempt != attempt and not (attempt is None and evaluation.attempt == 1):
        names = f"is of attempt {evaluation.attempt}" if evaluation.attempt else "names no attempt"
        counted = f"is attempt {attempt}" if attempt else "counted none"
        message = f"The evaluation {names}, the run {counted}; start the run again, with the image of this release."
        return [Reason(code=ModelProblem.MALFORMED_EVALUATION, message=message)]
    if run.champion is None:
        return []
    if (attempt or run.champion.reference) and "Champion" not in evaluation.against:
        message = "The evaluation has no comparison at the level of the attempt; start the run again."
        return [Reason(code=ModelProblem.MALFORMED_EVALUATION, message=message)]
    known = {"Champion"} if any(str(reason.code) in JUDGED for reason in judged) else set()
    return reasons_of([one for role, one in _checks(evaluation, run, margin).items() if role not in known])


def checks(evaluation: Evaluation, run: TrainingRun, margin: float) -> list[Check]:
    """Return the comparison with champion and reference, each at the level of the attempt; none for a first model."""
    return list(_checks(evaluation, run, margin).values())


def _checks(evaluation: Evaluation, run: TrainingRun, margin: float) -> dict[str, Check]:
    """Return the checks by the role of the model that the candidate is compared with."""
    if run.champion is None:
        return {}
    allowed = {"Champion": margin - _behind(evaluation, run.champion), "Reference": margin}
    return {role: _check(role, one, allowed[role], evaluation.attempt or 1) for role, one in evaluation.against.items()}


def _check(role: str, measured: Against, allowed: float, attempt: int) -> Check:
    reason = None
    if measured.bound is None:
        reason = _not_comparable(role, measured.patients, measured.seen)
    elif measured.bound < -allowed:
        reason = _not_shown(role, measured, allowed, attempt)
    return Check(
        what=f"balanced accuracy less the {role.lower()}'s, at the level of attempt {attempt}",
        figure=Figure(value=measured.difference, low=measured.bound, high=None),
        asks=Asks.AT_LEAST,
        bound=-allowed,
        end=End.LOW,
        reason=reason,
    )


def _not_shown(role: str, measured: Against, allowed: float, attempt: int) -> Reason:
    """Return the reason where a bound is too low: the candidate seems worse, or the patients are too few to tell.

    They are where it does not seem worse by more than is ``allowed``, and an equal one could not have been shown to be.
    """
    message = (
        f"At the level of attempt {attempt} on these patients ({level_of(attempt):.2g}) the candidate's balanced "
        f"accuracy may be {-(measured.bound or 0):.3f} below the {role.lower()}'s; {allowed:.3g} at most is allowed."
    )
    if is_too_wide(measured.difference, measured.bound, allowed):
        message += (
            f" It differs by {measured.difference:+.3f}: the patients are too few to tell. Label more, of which new "
            "ones alone start a new count; or accept this risk, and a person decides by the report."
        )
        return Reason(code=Risk.TOO_FEW_TO_COMPARE, message=message)
    message += " More test patients make the interval narrower; new ones alone start a new count."
    return Reason(code=CODES[role], message=message)


def is_too_wide(difference: float | None, bound: float | None, allowed: float) -> bool:
    """Return whether a difference below which the ``bound`` lies too far is of patients too few to tell."""
    if difference is None or bound is None:
        return False
    return difference >= -allowed and difference - bound > allowed


def standing(evaluation: Evaluation, run: TrainingRun) -> Standing:
    """Return what the candidate is measured by, and how far it may be behind that, once it is champion."""
    if run.champion is None or not evaluation.against:
        return Standing()
    measured = evaluation.against.get("Reference") or evaluation.against["Champion"]
    name = run.champion.reference or run.champion.model_package
    if measured.bound is None:  # a person promotes it all the same
        return Standing(reference=name, behind=1.0)
    bound = measured.bound - _behind(evaluation, run.champion)
    return Standing() if bound >= 0 else Standing(reference=name, behind=round(-bound, 4))


def _behind(evaluation: Evaluation, champion: ComparedChampion) -> float:
    """Return how far the champion may be behind a reference that the candidate could not be compared with."""
    return 0.0 if "Reference" in evaluation.against else champion.behind


def _not_comparable(role: str, patients: int, seen: int) -> Reason:
    which = f"The {patients} test patients"
    if seen:
        which = f"The {role.lower()} was trained on {seen} of the test patients, and the {patients} others"
    message = (
        f"{which} are too few to compare the candidate with the {role.lower()}. Label new patients; or promote a "
        "version by hand, on your own responsibility."
    )
    return Reason(code=ModelProblem.UNDEFINED_METRIC, message=message)
