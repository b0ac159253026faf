"""A candidate may not be too far below champion and reference: at the level of its attempt, and once for all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from functions.domain import against
from functions.domain.against import Standing
from functions.domain.evaluation import Against, Evaluation, Measured
from functions.domain.training_run import ComparedChampion, TrainingRun
from functions.domain.verdict import ModelProblem, Reason, Risk

MEASURED = Measured(weights_sha256="", balanced_accuracy=0.9, calibration_error=0.1, classes={}, subgroups=())
CHAMPION = ComparedChampion(
    model_package="wetread/2", model_package_arn="", artifact_uri="", artifact_sha256="", promoted_at=""
)
REFERENCE = replace(CHAMPION, model_package="wetread/1")
FIRST = TrainingRun(run_id="r", taken=True)
SECOND = replace(FIRST, champion=CHAMPION)
LATER = replace(SECOND, champion=replace(CHAMPION, reference="wetread/1", behind=0.03), reference=REFERENCE)
GONE = replace(LATER, reference=None)


def evaluated(attempt: int | None = 1, **bounds: float | None) -> Evaluation:
    found = {role: Against(bound=bound, patients=60, seen=4) for role, bound in bounds.items()}
    return Evaluation(labels=(), candidate=MEASURED, champion=MEASURED, paired=None, attempt=attempt, against=found)


def codes(run: TrainingRun, evaluation: Evaluation, attempt: int | None = 1, judged: Any = ()) -> list[str]:
    return [str(one.code) for one in against.shortcomings(evaluation, run, 0.05, attempt, judged)]


@pytest.mark.parametrize(
    ("run", "bounds", "expected"),
    [
        (FIRST, {}, []),
        (SECOND, {"Champion": -0.05}, []),
        (SECOND, {"Champion": -0.051}, ["WorseThanChampion"]),
        (SECOND, {"Champion": None}, ["UndefinedMetric"]),
        (LATER, {"Champion": -0.05, "Reference": -0.05}, []),
        (LATER, {"Champion": -0.02, "Reference": -0.051}, ["WorseThanReference"]),
        (LATER, {"Champion": -0.06, "Reference": -0.06}, ["WorseThanChampion", "WorseThanReference"]),
        (LATER, {"Champion": 0.0, "Reference": None}, ["UndefinedMetric"]),
        # The reference is gone, or this image cannot load it: 0.03 of the margin are used up.
        (GONE, {"Champion": -0.02}, []),
        (GONE, {"Champion": -0.021}, ["WorseThanChampion"]),
        (LATER, {"Champion": -0.021}, ["WorseThanChampion"]),
        (LATER, {}, ["MalformedEvaluation"]),
    ],
)
def test_a_candidate_may_be_behind_by_the_margin_once(
    run: TrainingRun, bounds: dict[str, float | None], expected: list[str]
) -> None:
    assert codes(run, evaluated(**bounds)) == expected


def wide(difference: float | None, bound: float, role: str = "Champion") -> Evaluation:
    found = {role: Against(bound=bound, patients=60, seen=0, difference=difference)}
    return replace(evaluated(Champion=0.0), against={**evaluated(Champion=0.0).against, **found})


@pytest.mark.parametrize(
    ("run", "evaluation", "expected"),
    [
        # An equal one could not pass either: its interval is wider than the margin.
        (SECOND, wide(0.0, -0.06), "TooFewToCompare"),
        (SECOND, wide(-0.05, -0.11), "TooFewToCompare"),
        (SECOND, wide(-0.051, -0.11), "WorseThanChampion"),
        (SECOND, wide(-0.02, -0.06), "WorseThanChampion"),
        (LATER, wide(0.0, -0.06, "Reference"), "TooFewToCompare"),
        (LATER, wide(-0.02, -0.06, "Reference"), "WorseThanReference"),
        (GONE, wide(0.0, -0.03), "TooFewToCompare"),
        (GONE, wide(-0.03, -0.06), "WorseThanChampion"),
        # An earlier image wrote no difference.
        (SECOND, wide(None, -0.06), "WorseThanChampion"),
    ],
)
def test_too_few_to_compare_is_what_too_few_patients_at_the_level_of_the_attempt_are_called(
    run: TrainingRun, evaluation: Evaluation, expected: str
) -> None:
    (reason,) = against.shortcomings(evaluation, run, 0.05, 1, ())
    assert str(reason.code) == expected
    assert ("too few to tell" in reason.message) is (expected == "TooFewToCompare")


@pytest.mark.parametrize("code", [ModelProblem.WORSE_THAN_CHAMPION, Risk.TOO_FEW_TO_COMPARE])
def test_the_reference_is_judged_though_the_champion_was_judged_already(code: ModelProblem | Risk) -> None:
    known = [Reason(code=code, message="")]
    evaluation = evaluated(Champion=-0.2, Reference=-0.2)
    assert codes(LATER, evaluation, judged=known) == ["WorseThanReference"]


def test_an_evaluation_at_another_level_than_the_runs_is_refused() -> None:
    assert codes(SECOND, evaluated(1, Champion=0.0), attempt=2) == ["MalformedEvaluation"]
    assert codes(SECOND, evaluated(2, Champion=0.0), attempt=2) == []
    assert codes(FIRST, evaluated(1), attempt=2) == ["MalformedEvaluation"]


@pytest.mark.parametrize("number", [None, 1])
def test_an_execution_from_before_attempts_were_counted_is_judged_as_the_first(number: int | None) -> None:
    assert codes(SECOND, evaluated(number), attempt=None) == []
    assert against.standing(evaluated(number), SECOND) == Standing()


@pytest.mark.parametrize("run", [FIRST, SECOND])
def test_an_evaluation_without_the_attempt_that_the_run_counted_is_malformed(run: TrainingRun) -> None:
    (reason,) = against.shortcomings(evaluated(None), run, 0.05, 1, ())
    assert reason.code == ModelProblem.MALFORMED_EVALUATION
    assert "The evaluation names no attempt, the run is attempt 1" in reason.message


def test_a_counted_run_with_a_champion_needs_the_comparison_at_its_level() -> None:
    assert codes(SECOND, evaluated(1)) == ["MalformedEvaluation"]


def test_a_comparison_is_refused_once() -> None:
    worse = Reason(code=ModelProblem.WORSE_THAN_CHAMPION, message="")
    assert codes(SECOND, evaluated(Champion=-0.2), judged=[worse]) == []


def test_the_reason_says_attempt_level_and_what_would_help() -> None:
    (reason,) = against.shortcomings(evaluated(4, Champion=-0.08), SECOND, 0.05, 4, ())
    assert "attempt 4" in reason.message
    assert "(0.0013)" in reason.message
    assert "0.080 below the champion's" in reason.message
    assert "new ones alone start a new count" in reason.message
    (reason,) = against.shortcomings(evaluated(Champion=None), SECOND, 0.05, 1, ())
    assert "trained on 4 of the test patients, and the 60 others" in reason.message


@pytest.mark.parametrize(
    ("run", "bounds", "expected"),
    [
        (FIRST, {}, Standing()),
        (SECOND, {"Champion": 0.0}, Standing()),
        (SECOND, {"Champion": -0.0312}, Standing(reference="wetread/2", behind=0.0312)),
        (LATER, {"Champion": -0.04, "Reference": 0.01}, Standing()),
        (LATER, {"Champion": 0.04, "Reference": -0.01}, Standing(reference="wetread/1", behind=0.01)),
        (GONE, {"Champion": -0.01}, Standing(reference="wetread/1", behind=0.04)),
        (GONE, {"Champion": 0.02}, Standing(reference="wetread/1", behind=0.01)),
        (GONE, {"Champion": 0.03}, Standing()),
        (SECOND, {"Champion": None}, Standing(reference="wetread/2", behind=1.0)),
    ],
)
def test_a_new_champion_is_a_reference_only_if_it_is_shown_to_be_better(
    run: TrainingRun, bounds: dict[str, float | None], expected: Standing
) -> None:
    assert against.standing(evaluated(**bounds), run) == expected


def test_without_the_reference_the_margins_of_a_chain_do_not_add_up_either() -> None:
    """Each candidate is as far below the champion as the gate allows, and the reference can never be loaded."""
    run = SECOND
    behind = 0.0
    for _ in range(20):
        champion = run.champion or CHAMPION
        bound = -(0.05 - champion.behind)
        assert codes(run, evaluated(Champion=bound)) == []
        standing = against.standing(evaluated(Champion=bound), run)
        behind = max(behind, standing.behind)
        run = replace(run, champion=replace(champion, reference=standing.reference, behind=standing.behind))
    assert behind == pytest.approx(0.05)
