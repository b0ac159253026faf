"""Patients who were tested stay in the test part, and each look at them is counted, whatever runs coincide."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.domain import layout
from functions.domain.errors import MalformedDocument
from functions.flow.gating import Subject
from tests.fakes.dicom import ct
from tests.fakes.workflow import LABELS, TRAINING, Workflow, audit, entry, evaluation


def patients(workflow: Workflow, run: dict[str, Any], *parts: str) -> set[str]:
    return {one["Patient"] for one in workflow.snapshot(run["Run"])["Slices"] if one["Split"] in parts}


def in_test(workflow: Workflow, run: dict[str, Any]) -> set[str]:
    return patients(workflow, run, "test")


def not_in_test(workflow: Workflow, run: dict[str, Any]) -> set[str]:
    return patients(workflow, run, "train", "validation")


def promoted(workflow: Workflow, run: dict[str, Any]) -> None:
    assert workflow.promote(run, workflow.train(run)).outcome == "Promoted"


def codes(workflow: Workflow, run: dict[str, Any]) -> list[str]:
    workflow.write(layout.audit_key(run["Run"]), audit(run))
    return [str(reason.code) for reason in workflow.judge(Subject.AUDIT, run).reasons]


def test_the_test_part_stays_whatever_the_seed_and_however_the_cohort_grows() -> None:
    workflow = Workflow()
    first = workflow.take(workflow.put_cohort(8))
    workflow.count_attempt(first)
    other_seed = workflow.take(workflow.put_cohort(8), execution="seed", Seed=7)
    assert in_test(workflow, other_seed) == in_test(workflow, first)
    assert not_in_test(workflow, other_seed) == not_in_test(workflow, first)
    grown = workflow.take(workflow.put_cohort(30), execution="grown", Seed=8)
    workflow.count_attempt(grown)
    assert in_test(workflow, first) < in_test(workflow, grown)
    smaller = workflow.take(workflow.put_cohort(7), execution="smaller")
    assert not not_in_test(workflow, smaller) & in_test(workflow, grown)


def test_what_a_champion_was_trained_on_does_not_become_a_test_case() -> None:
    workflow = Workflow()
    first = workflow.take(workflow.put_cohort(8))
    workflow.count_attempt(first)
    promoted(workflow, first)
    grown = workflow.take(workflow.put_cohort(30), execution="grown")
    assert len(in_test(workflow, grown)) == 18
    assert not in_test(workflow, grown) & not_in_test(workflow, first)


def test_a_champion_from_before_the_record_keeps_its_test_part() -> None:
    """The first run after an upgrade: no patient has a record, and another rule divided them."""
    workflow = Workflow()
    first = workflow.take(workflow.put_cohort(8))
    document = workflow.snapshot(first["Run"])
    before = set()
    for label in LABELS:
        ones = [one for one in document["Slices"] if one["Label"] == label]
        chosen = sorted({one["Patient"] for one in ones})[-2:]
        before |= set(chosen)
        for one in ones:
            one["Split"] = "test" if one["Patient"] in chosen else "train"
    promoted(workflow, first)
    workflow.write(layout.snapshot_key(first["Run"]), document)
    again = workflow.take(workflow.put_cohort(8), execution="again", Seed=5)
    assert in_test(workflow, again) == before


def test_a_run_that_measured_nothing_holds_nobody_out() -> None:
    workflow = Workflow()
    uri = workflow.put_cohort(8)
    entries = json.loads(workflow.world.s3.objects[TRAINING, "cohorts/c/manifest.json"])
    everyone = workflow.take(workflow.put_manifest([one | {"split": "test"} for one in entries]))
    assert "TooFewPatients" in codes(workflow, everyone)
    workflow.put_manifest(entries, "m3")
    assert len(in_test(workflow, workflow.take(uri, execution="later"))) == 6


def test_a_manifest_that_trains_on_tested_patients_is_refused_unless_the_risk_is_accepted() -> None:
    workflow = Workflow()
    first = workflow.take(workflow.put_cohort(45, slices_per_patient=1))
    assert codes(workflow, first) == []
    workflow.count_attempt(first)
    entries = json.loads(workflow.world.s3.objects[TRAINING, "cohorts/c/manifest.json"])
    now = {one["Line"]: one["Split"] for one in workflow.snapshot(first["Run"])["Slices"]}
    turned = {"test": "validation", "validation": "test", "train": "train"}
    split = [one | {"split": turned[now[line]]} for line, one in enumerate(entries, 1)]
    uri = workflow.put_manifest(split, "m2")
    second = workflow.take(uri, execution="second")
    assert codes(workflow, second) == ["TestedPatientInTraining"]
    (reason,) = workflow.judge(Subject.AUDIT, second).reasons
    assert reason.message.startswith("27 patients were in the test part of earlier runs, for example entries ")
    accepted = workflow.take(uri, execution="third", AcceptedRisks=["TestedPatientInTraining"])
    assert workflow.judge(Subject.AUDIT, accepted | {"Run": second["Run"]}).passed
    same = [one | {"split": now[line]} for line, one in enumerate(entries, 1)]
    assert codes(workflow, workflow.take(workflow.put_manifest(same, "m3"), execution="fourth")) == []


def coinciding(workflow: Workflow, **changes: Any) -> dict[str, Any]:
    """Return a run that trains on the test patients of another, whose count comes after both snapshots."""
    first = workflow.take(workflow.put_cohort(8), execution="first")
    entries = json.loads(workflow.world.s3.objects[TRAINING, "cohorts/c/manifest.json"])
    now = {one["Line"]: one["Split"] for one in workflow.snapshot(first["Run"])["Slices"]}
    turned = {"test": "train", "validation": "test", "train": "validation"}
    split = [one | {"split": turned[now[line]]} for line, one in enumerate(entries, 1)]
    second = workflow.take(workflow.put_manifest(split, "m2"), execution="second", **changes)
    workflow.count_attempt(first)
    assert not_in_test(workflow, second) & in_test(workflow, first)
    workflow.count_attempt(second)
    workflow.write(layout.evaluation_key(second["Run"]), evaluation(second))
    return second


def test_the_model_gate_refuses_training_on_patients_whom_another_run_tested_since_the_snapshot() -> None:
    workflow = Workflow()
    second = coinciding(workflow)
    verdict = workflow.judge(Subject.EVALUATION, second)
    assert [str(reason.code) for reason in verdict.reasons] == ["TestedPatientInTraining"]
    assert not verdict.passed
    (reason,) = verdict.reasons
    assert reason.message.startswith("6 patients have been in the test part of another run since this run's snapshot")
    assert reason.message.endswith("start the run again with split left out, or give them the test part.")


def test_training_on_patients_tested_since_the_snapshot_passes_where_the_risk_is_accepted() -> None:
    workflow = Workflow()
    verdict = workflow.judge(Subject.EVALUATION, coinciding(workflow, AcceptedRisks=["TestedPatientInTraining"]))
    assert verdict.passed
    assert [reason.accepted for reason in verdict.reasons] == [True]


def test_what_the_data_gate_said_of_tested_patients_the_model_gate_does_not_repeat() -> None:
    workflow = Workflow()
    coinciding(workflow)
    entries = json.loads(workflow.world.s3.objects[TRAINING, "cohorts/c/manifest.json"])
    turned = {"test": "validation", "validation": "train", "train": "test"}
    split = [one | {"split": turned[one["split"]]} for one in entries]
    third = workflow.take(workflow.put_manifest(split, "m3"), execution="third")
    assert "TestedPatientInTraining" in codes(workflow, third)
    workflow.write(layout.evaluation_key(third["Run"]), evaluation(third))
    assert workflow.judge(Subject.EVALUATION, third).reasons == ()


def test_folds_train_on_tested_patients_by_design() -> None:
    workflow = Workflow()
    workflow.count_attempt(workflow.take(workflow.put_cohort(8), execution="first"))
    by_folds = Workflow(workflow.world, folds=5)
    run = by_folds.take(by_folds.put_cohort(8), execution="folds")
    folds = {"Folds": [{}] * 5, "Whole": {"BalancedAccuracy": 0.95}}
    by_folds.write(layout.evaluation_key(run["Run"]), evaluation(run, OutOfFold=folds))
    assert "TestedPatientInTraining" not in {str(one.code) for one in by_folds.judge(Subject.EVALUATION, run).reasons}


@pytest.mark.parametrize(("before", "after"), [("", ""), ("", "Hospital A"), ("Hospital A", "Hospital A")])
def test_a_tested_patient_stays_so_where_a_later_cohort_says_the_issuer(before: str, after: str) -> None:
    workflow = Workflow()
    first = cohort_of_an_issuer(workflow, before, "first")
    workflow.count_attempt(first)
    second = cohort_of_an_issuer(workflow, after, "second", Seed=4)
    lines = [
        {one["Line"] for one in workflow.snapshot(run["Run"])["Slices"] if one["Split"] == "test"}
        for run in (first, second)
    ]
    assert lines[0] == lines[1]


def cohort_of_an_issuer(workflow: Workflow, issuer: str, execution: str, **changes: Any) -> dict[str, Any]:
    """Take a snapshot of eight patients of each class, with ids that an issuer gave."""
    entries = []
    for label in LABELS:
        for patient in range(8):
            name, study = f"{label}-{patient}.dcm", f"1.2.{LABELS.index(label)}.{patient}"
            ids = {"PatientID": f"P-{label}-{patient}", "IssuerOfPatientID": issuer or None}
            uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1", "SOPInstanceUID": f"{study}.1.1"}
            workflow.put(name, ct(**ids, **uids), execution)
            entries.append(entry(name, label))
    return workflow.take(workflow.put_manifest(entries, execution), execution=execution, **changes)


def test_attempts_are_counted_for_each_run_once() -> None:
    workflow = Workflow()
    runs = [workflow.take(workflow.put_cohort(8), execution=str(number), Seed=number) for number in range(3)]
    assert [workflow.count_attempt(run) for run in runs] == [1, 2, 3]
    assert workflow.count_attempt(runs[2]) == 3


def test_a_larger_test_part_inherits_the_attempts_on_its_patients_and_new_patients_have_none() -> None:
    workflow = Workflow()
    for number in range(4):
        workflow.count_attempt(workflow.take(workflow.put_cohort(8), execution=str(number)))
    grown = workflow.take(workflow.put_cohort(30), execution="grown")
    assert workflow.count_attempt(grown) == 5
    others = Workflow(workflow.world)
    uri = others.put_cohort(8)
    for key, body in list(others.world.s3.objects.items()):
        if key[1].startswith("cohorts/c/") and key[1].endswith(".dcm"):
            others.put(key[1].removeprefix("cohorts/c/"), body.replace(b"P-", b"Q-"), "v2")
    assert others.count_attempt(others.take(uri, execution="others")) == 1


def test_two_runs_at_once_never_have_the_same_number_on_a_patient() -> None:
    workflow = Workflow()
    runs = [workflow.take(workflow.put_cohort(8), execution=str(number)) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        numbers = sorted(pool.map(workflow.count_attempt, runs))
    assert all(number >= place for place, number in enumerate(numbers, 1))


def test_a_divided_patient_is_counted_but_not_held_out() -> None:
    workflow = Workflow()
    runs = [workflow.take(workflow.put_cohort(2, 10), execution=str(number)) for number in range(2)]
    assert workflow.snapshot(runs[0]["Run"])["SplitBy"] == "Slice"
    assert [workflow.count_attempt(run) for run in runs] == [1, 2]
    assert not workflow.holdout.tested(in_test(workflow, runs[0]) & not_in_test(workflow, runs[0]))
    assert workflow.take(workflow.put_cohort(2, 10), execution="later")["Taken"]


def test_a_run_whose_snapshot_was_changed_is_not_counted() -> None:
    workflow = Workflow()
    run = workflow.take(workflow.put_cohort(8))
    document = workflow.snapshot(run["Run"])
    document["Slices"].pop()
    workflow.write(layout.snapshot_key(run["Run"]), document)
    with pytest.raises(MalformedDocument, match="changed"):
        workflow.count_attempt(run)
    workflow.documents.delete([layout.snapshot_key(run["Run"])])
    with pytest.raises(MalformedDocument, match="gone"):
        workflow.count_attempt(run)


def test_the_record_has_keyed_hashes_alone_and_an_erasure_leaves_nothing_of_it() -> None:
    workflow = Workflow()
    run = workflow.take(workflow.put_cohort(8))
    workflow.count_attempt(run)
    records = {key: item for key, item in workflow.world.dynamodb.tables["batches"].items() if "PATIENT#" in key}
    assert {key.removeprefix("PATIENT#") for key in records} == in_test(workflow, run)
    assert {name for item in records.values() for name in item} == {"Id", "Runs", "Tested"}
    for patient in in_test(workflow, run):
        workflow.holdout.forget(patient)
    assert not [key for key in workflow.world.dynamodb.tables["batches"] if "PATIENT#" in key]
