"""The gates read what is in S3, decide, write the verdict, and fail closed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from functions.domain import layout
from functions.flow.gating import Subject, answer
from tests.fakes.workflow import LABELS, TRAINING, Workflow, acquisition, audit, evaluation, figure, measured

ENOUGH = 45  # labelled patients of a class: nine of them are in the test part


def taken(workflow: Workflow, patients_per_class: int = 6, **changes: Any) -> dict[str, Any]:
    return workflow.take(workflow.put_cohort(patients_per_class, slices_per_patient=1), **changes)


def codes(workflow: Workflow, subject: Subject, run: dict[str, Any]) -> list[str]:
    return [reason["Code"] for reason in answer(workflow.judge(subject, run))["Reasons"]]


def test_sound_data_pass_and_the_verdict_is_written() -> None:
    workflow = Workflow()
    run = taken(workflow, ENOUGH)
    workflow.write(layout.audit_key(run["Run"]), audit(run))
    assert answer(workflow.judge(Subject.AUDIT, run)) == {"Passed": True, "Reasons": []}
    written = json.loads(workflow.world.s3.objects[TRAINING, f"runs/{run['Run']}/data-gate.json"])
    assert written == {"Schema": "verdict/1", "Passed": True, "Reasons": []}


def test_a_good_candidate_passes_and_the_verdict_is_written() -> None:
    workflow = Workflow()
    run = taken(workflow)
    workflow.write(layout.evaluation_key(run["Run"]), evaluation(run))
    assert workflow.judge(Subject.EVALUATION, run).passed
    assert (TRAINING, f"runs/{run['Run']}/model-gate.json") in workflow.world.s3.objects


@pytest.mark.parametrize(
    ("subject", "key", "code"),
    [
        (Subject.AUDIT, layout.audit_key, "MalformedAudit"),
        (Subject.EVALUATION, layout.evaluation_key, "MalformedEvaluation"),
    ],
)
def test_a_document_that_is_missing_malformed_or_of_another_run_is_a_refusal(
    subject: Subject, key: Any, code: str
) -> None:
    workflow = Workflow()
    run = taken(workflow)
    other = workflow.take(workflow.put_cohort(), execution="other", Seed=1)
    document = audit(other) if subject is Subject.AUDIT else evaluation(other)
    assert codes(workflow, subject, run) == [code]
    workflow.write(key(run["Run"]), document)
    assert codes(workflow, subject, run) == [code]
    workflow.world.s3.objects[TRAINING, key(run["Run"])] = b"{"
    assert codes(workflow, subject, run) == [code]


@pytest.mark.parametrize("subject", Subject)
def test_a_snapshot_that_is_gone_or_was_changed_is_a_refusal(subject: Subject) -> None:
    workflow = Workflow()
    run = taken(workflow)
    workflow.write(layout.audit_key(run["Run"]), audit(run))
    workflow.write(layout.evaluation_key(run["Run"]), evaluation(run))
    changed = workflow.snapshot(run["Run"])
    first = changed["Slices"][0]
    first["Split"] = "validation" if first["Split"] == "train" else "train"
    workflow.write(layout.snapshot_key(run["Run"]), changed)
    assert codes(workflow, subject, run) == ["MalformedSnapshot"]
    workflow.world.s3.objects[TRAINING, layout.snapshot_key(run["Run"])] = b"{"
    assert codes(workflow, subject, run) == ["MalformedSnapshot"]
    for depth in (900, 100_000):
        deep = b'{"Schema":' + b"[" * depth + b"]" * depth + b"}"
        workflow.world.s3.objects[TRAINING, layout.snapshot_key(run["Run"])] = deep
        assert codes(workflow, subject, run) == ["MalformedSnapshot"]
    workflow.documents.delete([layout.snapshot_key(run["Run"])])
    assert codes(workflow, subject, run) == ["MalformedSnapshot"]


def test_an_evaluation_without_a_class_of_the_snapshot_is_a_refusal() -> None:
    workflow = Workflow()
    run = taken(workflow)
    workflow.write(layout.evaluation_key(run["Run"]), evaluation(run, Labels=list(LABELS[:2])))
    assert codes(workflow, Subject.EVALUATION, run) == ["MalformedEvaluation"]


def test_a_test_part_on_which_no_candidate_can_pass_is_refused_before_training_is_paid_for() -> None:
    workflow = Workflow()
    first = taken(workflow)
    workflow.write(layout.audit_key(first["Run"]), audit(first))
    assert codes(workflow, Subject.AUDIT, first) == ["TooFewPatients"]
    workflow.world.set_champion()
    second = taken(workflow, execution="second", AcceptedRisks=["TooFewToCompare"])
    workflow.write(layout.audit_key(second["Run"]), audit(second))
    verdict = workflow.judge(Subject.AUDIT, second)
    assert [(str(one.code), one.accepted) for one in verdict.reasons] == [("TooFewToCompare", True)]


def test_a_risk_that_was_accepted_stays_listed() -> None:
    workflow = Workflow()
    run = taken(workflow, ENOUGH, AcceptedRisks=["ClassPredictableFromAcquisition"])
    workflow.write(layout.audit_key(run["Run"]), audit(run, Acquisition=acquisition(0.99, 0.001)))
    (reason,) = answer(workflow.judge(Subject.AUDIT, run))["Reasons"]
    assert (reason["Code"], reason["Accepted"]) == ("ClassPredictableFromAcquisition", True)


def test_no_accepted_risk_helps_a_poor_candidate() -> None:
    workflow = Workflow()
    run = taken(workflow, AcceptedRisks=["TooFewPatients"])
    poor = measured(BalancedAccuracy=figure(0.1), Subgroups=[])
    workflow.write(layout.evaluation_key(run["Run"]), evaluation(run, Candidate=poor))
    verdict = workflow.judge(Subject.EVALUATION, run)
    assert not verdict.passed
    assert [reason.code for reason in verdict.reasons] == ["BalancedAccuracyTooLow"]


SAMPLES_RISKS = [
    "PatientAcrossSplit",
    "StudyAcrossSplit",
    "SeriesAcrossSplit",
    "TooFewPatients",
    "ClassPredictableFromAcquisition",
]


@pytest.mark.parametrize("accepted", [[], SAMPLES_RISKS])
def test_the_public_sample_is_refused_by_name_unless_its_risks_are_accepted(
    real_slices: list[Path], accepted: list[str]
) -> None:
    workflow = Workflow()
    run = workflow.take(workflow.put_sample(real_slices), AcceptedRisks=accepted)
    telling = acquisition(0.98, 0.001, Unit="Slice", Units=25)
    workflow.write(layout.audit_key(run["Run"]), audit(run, Acquisition=telling))
    verdict = workflow.judge(Subject.AUDIT, run)
    assert {str(reason.code) for reason in verdict.reasons} == set(SAMPLES_RISKS)
    assert verdict.passed == bool(accepted)


def test_the_verdict_has_every_threshold_with_what_was_measured_and_whether_it_holds() -> None:
    workflow = Workflow()
    run = taken(workflow)
    poor = measured(BalancedAccuracy=figure(0.8, 0.65), Abstention={"Coverage": 0.5})
    workflow.write(layout.evaluation_key(run["Run"]), evaluation(run, Candidate=poor))
    workflow.judge(Subject.EVALUATION, run)
    written = json.loads(workflow.world.s3.objects[TRAINING, layout.model_gate_key(run["Run"])])
    asked = {one["What"]: one for one in written["Checks"]}
    assert asked["balanced accuracy"] == {
        "What": "balanced accuracy",
        "Value": 0.8,
        "Low": 0.65,
        "High": 0.8,
        "TooFew": False,
        "Asks": "at least",
        "Bound": 0.7,
        "Compared": "Low",
        "Passed": False,
        "Code": "BalancedAccuracyTooLow",
    }
    assert {f"{what} for {label}" for what in ("sensitivity", "specificity", "AUC") for label in LABELS} <= set(asked)
    assert asked["sensitivity for cap"]["Passed"]
    assert [one["Code"] for one in written["Reasons"]] == [one["Code"] for one in asked.values() if one["Code"]]


def test_against_a_champion_the_comparison_at_the_level_of_the_attempt_is_a_threshold_of_the_verdict() -> None:
    workflow = Workflow()
    workflow.world.set_champion()
    run = taken(workflow)
    workflow.write(layout.evaluation_key(run["Run"]), evaluation(run, low=-0.2))
    assert not workflow.judge(Subject.EVALUATION, run).passed
    written = json.loads(workflow.world.s3.objects[TRAINING, layout.model_gate_key(run["Run"])])
    asked = {one["What"]: one for one in written["Checks"]}
    at_level = asked["balanced accuracy less the champion's, at the level of attempt 1"]
    assert (at_level["Bound"], at_level["Low"], at_level["Passed"]) == (-0.05, -0.2, False)
    assert asked["balanced accuracy less the champion's, on the same cases"]["Value"] == 0.02
    assert asked["balanced accuracy"]["Compared"] == "Value", "the comparison guards a later model"
