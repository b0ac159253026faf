"""audit/2 and evaluation/2: what the container's builders write is what the gates read, and judge rightly."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from functions.domain import audit as audits
from functions.domain import evaluation as evaluations
from functions.domain import layout, small_samples
from functions.flow.gating import Subject
from functions.names import COHORTS
from model_code import snapshot
from model_code.audit.command import readings
from model_code.audit.document import Reading, Unreadable
from model_code.audit.document import build as build_audit
from model_code.evaluation import document as evaluating
from model_code.evaluation import intervals
from model_code.evaluation import studies as studies_of_cases
from model_code.evaluation.against import Rival, build_compared
from model_code.evaluation.document import build as build_evaluation
from model_code.snapshot import Split
from tests.fakes.workflow import LABELS, TRAINING, Workflow
from tests.studies import made_studies
from wetread.demo.phantoms import phantom_bytes
from wetread.training import evaluations as shown_evaluations

DIGEST = "ab" * 32


def as_written(document: Any) -> bytes:
    return json.dumps(document, allow_nan=False).encode()


def taken_in(workflow: Workflow, taken: dict[str, Any], folder: Path) -> snapshot.Snapshot:
    """The snapshot as the audit reads it, its slices in ``folder``."""
    found = snapshot.parse(workflow.snapshot(taken["Run"]))
    for case in found.cases:
        (folder / case.name).write_bytes(workflow.world.s3.objects[TRAINING, f"slices/{case.name}"])
    return found


def audited(workflow: Workflow, taken: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The audit that the container itself makes of a run's slices, written where it writes it."""
    found = taken_in(workflow, taken, folder)
    document = build_audit(found, readings(found.cases, folder))
    workflow.world.s3.objects[TRAINING, layout.audit_key(taken["Run"])] = as_written(document)
    return document


def test_the_public_sample_is_refused_by_name_and_passes_when_its_risks_are_accepted(
    real_slices: list[Path], tmp_path: Path
) -> None:
    workflow = Workflow()
    refused = workflow.take(workflow.put_sample(real_slices))
    audited(workflow, refused, tmp_path)
    verdict = workflow.judge(Subject.AUDIT, refused)
    risks = {str(reason.code) for reason in verdict.reasons}
    assert not verdict.passed
    assert {"PatientAcrossSplit", "TooFewPatients", "ClassPredictableFromAcquisition"} <= risks
    accepted = workflow.take(workflow.put_sample(real_slices), execution="again", AcceptedRisks=sorted(risks))
    audited(workflow, accepted, tmp_path)
    assert workflow.judge(Subject.AUDIT, accepted).passed


def test_an_audit_of_undecodable_and_repeated_pictures_is_read_with_its_lines(tmp_path: Path) -> None:
    workflow = Workflow()
    bodies = [phantom_bytes(label, patient, 0, size=64) for label in LABELS for patient in range(4)]
    entries = []
    for number, body in enumerate(bodies):
        workflow.put(f"{number}.dcm", body)
        content = {"type": "classification", "label": LABELS[number // 4]}
        part = ("train", "validation", "test", "train")[number % 4]
        entries.append({"studyId": "", "seriesId": "", "filename": f"{number}.dcm", "content": content, "split": part})
    # The first picture once more, in another part; and one whose pixels end early.
    workflow.put("copy.dcm", bodies[0])
    entries.append({**entries[0], "filename": "copy.dcm", "split": "test"})
    workflow.put("cut.dcm", phantom_bytes("cap", 90, 0, size=64)[:-500])
    entries.append({**entries[5], "filename": "cut.dcm", "split": "train"})
    taken = workflow.take(workflow.put_manifest(entries))
    assert taken["Taken"], taken["Reasons"]
    document = audited(workflow, taken, tmp_path)
    found = audits.parse(as_written(document), taken["SnapshotDigest"])
    assert found.slices == len(entries)
    assert found.unreadable.examples == [(len(entries),)]
    assert (1, len(entries) - 1) in list(found.identical.examples)
    codes = {str(reason.code) for reason in workflow.judge(Subject.AUDIT, taken).reasons}
    assert {"UndecodableSlice", "IdenticalPixelsAcrossSplit", "PatientAcrossSplit"} <= codes


def test_an_audit_that_could_not_measure_predictability_is_read() -> None:
    workflow = Workflow()
    taken = workflow.take(workflow.put_cohort())
    found = snapshot.parse(workflow.snapshot(taken["Run"]))
    nothing = [Unreadable("UndecodablePixelData", "The pixel data end early.")] * len(found.cases)
    read = audits.parse(as_written(build_audit(found, nothing)), taken["SnapshotDigest"])
    assert all(one.found is None for one in read.subjects.values())
    assert set(read.subjects) == set(audits.Subject)
    assert read.unreadable.count == len(found.cases)


def test_an_audit_is_of_the_labelled_slices_beside_those_of_labelled_studies() -> None:
    workflow = Workflow()
    workflow.put_cohort(slices_per_patient=3)
    manifest = json.loads(workflow.world.s3.objects[TRAINING, f"{COHORTS}c/manifest.json"])
    for record in manifest[2::3]:
        record["content"] = {"type": "study", "label": record["content"]["label"]}
    taken = workflow.take(workflow.put_manifest(manifest, "m2"))
    found = snapshot.parse(workflow.snapshot(taken["Run"]))
    assert (len(found.cases), len(found.unlabelled)) == (36, 18)
    seen = [Reading(hashlib.sha256(case.name.encode()).hexdigest(), None, {}) for case in found.cases]
    workflow.world.s3.objects[TRAINING, layout.audit_key(taken["Run"])] = as_written(build_audit(found, seen))
    assert "MalformedAudit" not in {str(reason.code) for reason in workflow.judge(Subject.AUDIT, taken).reasons}


def test_an_audit_of_equal_tags_is_read() -> None:
    workflow = Workflow()
    taken = workflow.take(workflow.put_cohort())
    found = snapshot.parse(workflow.snapshot(taken["Run"]))
    seen = [Reading(hashlib.sha256(case.name.encode()).hexdigest(), None, {}) for case in found.cases]
    read = audits.parse(as_written(build_audit(found, seen)), taken["SnapshotDigest"])
    found_of = [one.found for one in read.subjects.values()]
    assert [one.p_value for one in found_of if one] == [1.0] * len(audits.Subject)


def test_an_audit_by_folds_names_a_picture_that_two_folds_have() -> None:
    workflow = Workflow(folds=3)
    taken = workflow.take(workflow.put_cohort())
    found = snapshot.parse(workflow.snapshot(taken["Run"]))
    assert (found.folds, found.tested) == (3, found.cases)
    first = found.cases[0]
    other = next(case for case in found.cases if case.fold != first.fold)
    seen = [
        Reading(hashlib.sha256((first if case is other else case).name.encode()).hexdigest(), None, {})
        for case in found.cases
    ]
    document = build_audit(found, seen)
    assert document["Identical"]["Examples"][0]["Splits"] == [f"fold {first.fold}", f"fold {other.fold}"]
    workflow.world.s3.objects[TRAINING, layout.audit_key(taken["Run"])] = as_written(document)
    codes = {str(reason.code) for reason in workflow.judge(Subject.AUDIT, taken).reasons}
    assert "IdenticalPixelsAcrossSplit" in codes
    assert "MalformedAudit" not in codes


def cases(patients: int = 36) -> evaluating.TestSet:
    """So many patients with two slices each, the classes in turn."""
    of_slice = np.repeat(np.arange(patients), 2)
    attributes = {
        "PatientSex": ["F" if patient % 2 else "M" for patient in of_slice],
        "Manufacturer": ["unknown"] * len(of_slice),
    }
    return evaluating.TestSet(labels=LABELS, targets=of_slice % 3, patients=of_slice, attributes=attributes)


def predictions(test: evaluating.TestSet, right: float, name: str) -> evaluating.Predictions:
    """A model that gives the true class of each slice this probability."""
    probabilities = np.full((len(test.targets), 3), (1 - right) / 2)
    probabilities[np.arange(len(test.targets)), test.targets] = right
    identity = {"Name": "m", "Version": name, "WeightsSHA256": hashlib.sha256(name.encode()).hexdigest()}
    return evaluating.Predictions(
        identity=identity, temperature=1.2, probabilities=probabilities, uncalibrated=probabilities
    )


def first_attempt(
    taken: dict[str, Any],
    test: evaluating.TestSet,
    candidate: evaluating.Predictions,
    champion: evaluating.Predictions | None,
) -> dict[str, Any]:
    """The evaluation of a run that is the first on its test patients, none of whom the champion was trained on."""
    rival = Rival(champion, np.ones(len(test.targets), bool), known=True) if champion else None
    return build_compared(taken["SnapshotDigest"], test, candidate, {"Champion": rival} if rival else {}, 1)


def judged(taken: dict[str, Any], workflow: Workflow, document: dict[str, Any]) -> list[str]:
    workflow.world.s3.objects[TRAINING, layout.evaluation_key(taken["Run"])] = as_written(document)
    return [str(reason.code) for reason in workflow.judge(Subject.EVALUATION, taken).reasons]


def test_an_evaluation_without_a_champion_is_read_and_judged() -> None:
    workflow, test = Workflow(), cases()
    taken = workflow.take(workflow.put_cohort())
    digest = taken["SnapshotDigest"]
    good = first_attempt(taken, test, predictions(test, 0.9, "good"), None)
    read = evaluations.parse(as_written(good), digest)
    assert (read.candidate.balanced_accuracy.value, read.champion) == (1.0, None)
    assert read.candidate.weights_sha256 == hashlib.sha256(b"good").hexdigest()
    assert {(one.attribute, one.value) for one in read.candidate.subgroups} == {
        ("PatientSex", "F"),
        ("PatientSex", "M"),
        ("Manufacturer", "unknown"),
    }
    assert judged(taken, workflow, good) == []
    poor = first_attempt(taken, test, predictions(test, 0.1, "poor"), None)
    assert {"BalancedAccuracyTooLow", "SensitivityTooLow", "AUCTooLow"} <= set(judged(taken, workflow, poor))


def test_the_figures_of_whole_studies_are_read_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    workflow, test = Workflow(), cases()
    taken = workflow.take(workflow.put_cohort())
    document = first_attempt(taken, test, predictions(test, 0.9, "good"), None)
    assert evaluations.parse(as_written(document), taken["SnapshotDigest"]).candidate.study is None
    studies = made_studies(60)
    document["Cases"]["Studies"] = studies_of_cases.counts(studies)
    document["Candidate"]["Study"] = studies_of_cases.measured(studies, predictions(test, 0.9, "good"), LABELS)
    found = evaluations.parse(as_written(document), taken["SnapshotDigest"]).candidate.study
    assert found is not None
    assert (found.studies, found.patients, found.abstained) == (60, 60, 0)
    assert (found.reference, found.fitted) == ("normal", False)
    written = document["Candidate"]["Study"]["Classes"]["cap"]["Sensitivity"]["Value"]
    assert found.classes["cap"].sensitivity.value == written
    assert judged(taken, workflow, document) == []
    shown_evaluations.show(document)
    assert "Studies: balanced accuracy" in capsys.readouterr().out
    document["Candidate"]["Study"] = None
    assert evaluations.parse(as_written(document), taken["SnapshotDigest"]).candidate.study is None


def test_an_evaluation_against_a_champion_is_read_and_judged() -> None:
    workflow, test = Workflow(), cases()
    workflow.world.set_champion()
    taken = workflow.take(workflow.put_cohort())
    good, poor = predictions(test, 0.9, "good"), predictions(test, 0.1, "poor")
    assert judged(taken, workflow, first_attempt(taken, test, good, poor)) == []
    worse = first_attempt(taken, test, poor, good)
    assert "WorseThanChampion" in judged(taken, workflow, worse)


def test_the_gate_and_the_command_line_read_too_few_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    workflow, test = Workflow(), cases(patients=9)
    workflow.world.set_champion()
    taken = workflow.take(workflow.put_cohort())
    model = predictions(test, 0.9, "good")
    document = first_attempt(taken, test, model, model)
    read = evaluations.parse(as_written(document), taken["SnapshotDigest"])
    assert read.candidate.balanced_accuracy.too_few
    assert {"UndefinedMetric", "TooFewToCompare"} == set(judged(taken, workflow, document))
    shown_evaluations.show(document, in_full=True)
    assert "too few to say" in capsys.readouterr().out


@pytest.mark.parametrize("folds", [0, 5])
@pytest.mark.parametrize("shares", [(12, 12, 12), (4, 9, 23)])
def test_the_functions_compute_the_interval_of_a_difference_as_the_container_does(
    shares: tuple[int, ...], folds: int
) -> None:
    of_slice, rng = np.repeat(np.arange(36), 2), np.random.default_rng(0)
    targets = np.repeat(np.arange(3), shares)[of_slice]
    test = evaluating.TestSet(LABELS, targets, of_slice, {})
    right = rng.random((2, len(test.targets))) < 0.8
    found = intervals.difference(right[0].astype(float), right[1].astype(float), test.clusters, folds)
    apart = test.clusters.means(right[0].astype(float) - right[1])
    of_class = [apart[test.clusters.strata == one].tolist() for one in range(3)]
    assert small_samples.lowest_difference(of_class, folds=folds) == pytest.approx(found.figure.low, abs=1e-4)
    assert small_samples.FEWEST_PATIENTS == intervals.FEWEST_PATIENTS
    assert small_samples.FOLD_SPREAD == intervals.FOLD_SPREAD


@pytest.mark.parametrize(("value", "size", "spare"), [(0.8, 40, 57), (0.95, 27, 24), (1.0, 27, 24), (0.7, 200, 197)])
@pytest.mark.parametrize("continuous", [0, intervals.CONTINUOUS])
def test_the_gate_finds_the_lower_end_at_another_level_from_the_one_that_the_container_wrote(
    value: float, size: float, spare: float, continuous: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    low, _ = intervals.clopper_pearson(value, size, spare, continuous)
    monkeypatch.setattr(intervals, "TAIL", 0.05 / 6)
    lower, _ = intervals.clopper_pearson(value, size, spare, continuous)
    assert small_samples.lower_end(value, low, 0.05 / 6, continuous) == pytest.approx(lower, abs=0.01)
    assert small_samples.AUC_CONTINUOUS == intervals.CONTINUOUS


@pytest.mark.parametrize("folds", [0, 5])
@pytest.mark.parametrize("classes", [2, 3])
def test_what_is_said_to_be_enough_is_enough_and_a_patient_less_is_not(classes: int, folds: int) -> None:
    labels = LABELS[:classes]

    def lows(patients: int) -> tuple[float, float]:
        """The lower ends of a faultless model's sensitivity, and of its difference to itself."""
        numbers = np.arange(patients * classes)
        test = evaluating.TestSet(labels, numbers % classes, numbers, {}, folds=folds)
        probabilities = np.eye(classes)[test.targets]
        model = evaluating.Predictions({}, 1.0, probabilities, probabilities)
        found = build_evaluation(DIGEST, test, model, model)
        return found["Candidate"]["Classes"][labels[0]]["Sensitivity"]["Low"], found["Paired"]["Low"]

    first = small_samples.first_model_needs(0.7, 0.6, 0.6, classes)
    later = small_samples.comparison_needs(0.05, classes, folds=folds)
    assert first is not None
    assert later is not None
    assert lows(first)[0] >= 0.6 > lows(first - 1)[0]
    assert lows(later)[1] >= -0.05 > lows(later - 1)[1]


def test_figures_that_are_undefined_are_read_and_fail_closed() -> None:
    workflow = Workflow()
    taken = workflow.take(workflow.put_cohort())
    everything = cases()
    some = everything.targets != 2
    test = evaluating.TestSet(
        labels=LABELS,
        targets=everything.targets[some],
        patients=np.unique(everything.patients[some], return_inverse=True)[1],
        attributes={},
    )
    document = first_attempt(taken, test, predictions(test, 0.9, "good"), None)
    assert "UndefinedMetric" in judged(taken, workflow, document)


def test_the_splits_are_those_of_the_snapshot() -> None:
    assert [part.value for part in Split] == ["train", "validation", "test"]
