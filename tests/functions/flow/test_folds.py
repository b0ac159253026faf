"""A stage that tests by folds: folds for good, attempts counted, and no verdict without the figures of every fold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.domain import layout
from functions.flow.gating import Subject
from tests.fakes.workflow import LABELS, TRAINING, Workflow, audit, evaluation


def folds_of(workflow: Workflow, run: dict[str, Any]) -> dict[str, int]:
    return {one["Patient"]: one["Fold"] for one in workflow.snapshot(run["Run"])["Slices"]}


def codes(workflow: Workflow, run: dict[str, Any]) -> list[str]:
    workflow.write(layout.audit_key(run["Run"]), audit(run))
    return [str(reason.code) for reason in workflow.judge(Subject.AUDIT, run).reasons]


def by_folds(run: dict[str, Any], folds: int = 5, whole: float | None = 0.97, **changes: Any) -> dict[str, Any]:
    return evaluation(run, **changes) | {
        "OutOfFold": {"Folds": [{"Fold": one + 1} for one in range(folds)], "Whole": {"BalancedAccuracy": whole}}
    }


def judged(workflow: Workflow, run: dict[str, Any], document: dict[str, Any]) -> list[str]:
    workflow.write(layout.evaluation_key(run["Run"]), document)
    return [str(reason.code) for reason in workflow.judge(Subject.EVALUATION, run).reasons]


def test_every_patient_is_tested_and_none_is_held_out() -> None:
    workflow = Workflow(folds=5)
    run = workflow.take(workflow.put_cohort(10))
    document = workflow.snapshot(run["Run"])
    assert (document["Folds"], document["SplitBy"]) == (5, "Patient")
    assert {one["Split"] for one in document["Slices"]} == {"train", "validation"}
    assert sorted(folds_of(workflow, run).values()) == sorted([1, 2, 3, 4, 5] * 6)


def test_a_fold_stays_whatever_the_seed_and_however_the_cohort_grows_once_models_were_measured() -> None:
    workflow = Workflow(folds=5)
    first = workflow.take(workflow.put_cohort(7))
    assert workflow.count_attempt(first) == 1
    grown = workflow.take(workflow.put_cohort(12), execution="grown", Seed=7)
    assert folds_of(workflow, first).items() < folds_of(workflow, grown).items()
    assert workflow.count_attempt(grown) == 2


def test_the_record_says_the_fold_and_the_runs_and_holds_nobody_out() -> None:
    workflow = Workflow(folds=5)
    run = workflow.take(workflow.put_cohort(9))
    workflow.count_attempt(run)
    records = {key: item for key, item in workflow.world.dynamodb.tables["batches"].items() if "PATIENT#" in key}
    assert {name for item in records.values() for name in item} == {"Id", "Runs", "Fold5"}
    part = Workflow(workflow.world)
    later = part.take(part.put_cohort(9), execution="later")
    assert {one["Split"] for one in part.snapshot(later["Run"])["Slices"]} == {"train", "validation", "test"}
    assert part.count_attempt(later) == 2, "the same patients"


def test_each_number_of_folds_has_a_record_besides_the_others() -> None:
    workflow = Workflow(folds=5)
    first = workflow.take(workflow.put_cohort(9))
    workflow.count_attempt(first)
    three = Workflow(workflow.world, folds=3)
    between = three.take(three.put_cohort(9), execution="between")
    assert set(folds_of(three, between).values()) == {1, 2, 3}
    three.count_attempt(between)
    again = workflow.take(workflow.put_cohort(9), execution="again", Seed=4)
    assert folds_of(workflow, again) == folds_of(workflow, first)


def test_a_split_of_the_labels_own_is_refused_by_name() -> None:
    workflow = Workflow(folds=5)
    uri = workflow.put_cohort(7)
    entries = json.loads(workflow.world.s3.objects[TRAINING, "cohorts/c/manifest.json"])
    run = workflow.take(workflow.put_manifest([one | {"split": "train"} for one in entries], "m2"))
    assert not run["Taken"]
    assert [reason["Code"] for reason in run["Reasons"]] == ["MalformedManifest"]
    assert "in 5 folds. Leave split out" in run["Reasons"][0]["Message"]
    workflow.put_manifest(entries, "m3")
    assert workflow.take(uri, execution="again")["Taken"]


@pytest.mark.parametrize(("per_class", "expected"), [(3, 4), (5, 1), (9, 0)])
def test_a_class_with_fewer_patients_than_folds_is_refused_with_what_would_be_enough(
    per_class: int, expected: int
) -> None:
    """Of five patients the folds can do; nine are what a first model needs, where a test part takes 45."""
    workflow = Workflow(folds=5)
    run = workflow.take(workflow.put_cohort(per_class))
    assert codes(workflow, run) == ["TooFewPatients"] * expected
    messages = [reason.message for reason in workflow.judge(Subject.AUDIT, run).reasons]
    if per_class == 3:
        assert messages[0].startswith("There are 3 patient(s) with normal for 5 folds.")
        assert "5 new patients of each class are enough" in messages[0]
    if expected:
        assert messages[-1].startswith("The cohort is too small (normal")
        assert messages[-1].endswith("It takes 9 patients of each class.")


def test_an_evaluation_without_the_folds_or_of_too_few_or_of_none_that_there_should_be_passes_nothing() -> None:
    workflow = Workflow(folds=5)
    run = workflow.take(workflow.put_cohort(9))
    assert judged(workflow, run, by_folds(run)) == []
    assert judged(workflow, run, evaluation(run)) == ["MalformedEvaluation"]
    assert judged(workflow, run, by_folds(run, folds=4)) == ["MalformedEvaluation"]
    part = Workflow()
    other = part.take(part.put_cohort(9))
    assert judged(part, other, by_folds(other)) == ["MalformedEvaluation"]


@pytest.mark.parametrize(
    ("whole", "expected"), [(0.9, []), (0.89, ["WholeWorseThanFolds"]), (None, ["UndefinedMetric"])]
)
def test_a_model_of_all_that_is_worse_on_what_it_was_trained_on_than_the_folds_on_the_unseen_is_refused(
    whole: float | None, expected: list[str]
) -> None:
    workflow = Workflow(folds=5)
    run = workflow.take(workflow.put_cohort(9))
    assert judged(workflow, run, by_folds(run, whole=whole)) == expected
    if expected == ["WholeWorseThanFolds"]:
        (reason,) = workflow.judge(Subject.EVALUATION, run).reasons
        assert "0.890 on the very slices that it was trained on; the 5 folds' models have 0.900" in reason.message


def test_a_run_by_folds_is_promoted_and_its_successor_is_compared_with_its_snapshot() -> None:
    workflow = Workflow(folds=5)
    run = workflow.take(workflow.put_cohort(9))
    uri = workflow.train(run)
    workflow.write(layout.evaluation_key(run["Run"]), by_folds(run))
    assert workflow.promote(run, uri).outcome == "Promoted"
    later = workflow.take(workflow.put_cohort(9), execution="later")
    assert later["Champion"]["SnapshotUri"] == layout.uri(TRAINING, layout.snapshot_key(run["Run"]))


def test_a_copy_in_two_folds_is_a_leak_that_the_gate_names() -> None:
    workflow = Workflow(folds=5)
    run = workflow.take(workflow.put_cohort(9))
    found = {"Count": 1, "Examples": [{"Lines": [1, 3], "Splits": ["fold 1", "fold 2"]}]}
    workflow.write(layout.audit_key(run["Run"]), audit(run, Identical=found))
    assert [str(one.code) for one in workflow.judge(Subject.AUDIT, run).reasons] == ["IdenticalPixelsAcrossSplit"]
    assert len(LABELS) == 3
