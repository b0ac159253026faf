"""A snapshot pins every slice by version and bytes, is taken once per run, and reports every problem at once."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from functions.aws import cohorts
from functions.domain import layout
from functions.domain import snapshot as snapshots
from functions.flow import snapshotting
from functions.names import COHORTS
from model_code import snapshot
from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from tests.fakes.workflow import LABELS, TRAINING, Workflow, entry
from tests.fakes.world import ARTIFACT, MODELS, World


def problems_of(taken: dict[str, Any]) -> list[tuple[str, str]]:
    return [(reason["Code"], reason["Message"]) for reason in taken["Reasons"]]


def test_a_sound_cohort_is_taken_and_every_copy_is_the_labelled_bytes() -> None:
    workflow = Workflow()
    taken = workflow.take(
        workflow.put_cohort(), Seed=3, HyperParameters={"epochs": 4}, AcceptedRisks=["TooFewPatients"]
    )
    run = layout.run_id("run-1")
    assert taken == {
        "Taken": True,
        "Run": run,
        "Reasons": [],
        "AcceptedRisks": ["TooFewPatients"],
        "Seed": "3",
        "HyperParameters": {"epochs": "4"},
        "SnapshotUri": f"s3://{TRAINING}/runs/{run}/snapshot.json",
        "SlicesManifestUri": f"s3://{TRAINING}/runs/{run}/slices.manifest",
        "SnapshotDigest": workflow.snapshot(run)["Digest"],
        "Slices": 36,
        "Champion": {},
    }
    document, objects = workflow.snapshot(run), workflow.world.s3.objects
    assert (document["SplitBy"], document["Labels"], document["Seed"]) == ("Patient", list(LABELS), 3)
    assert document["Source"]["VersionId"] == "m1"
    names = [one["Slice"] for one in document["Slices"]]
    assert json.loads(objects[TRAINING, f"runs/{run}/slices.manifest"]) == [
        {"prefix": f"s3://{TRAINING}/slices/"},
        *names,
    ]
    for one in document["Slices"]:
        assert hashlib.sha256(objects[TRAINING, f"slices/{one['Slice']}"]).hexdigest() == one["ContentSHA256"]
    assert {one["VersionId"] for one in document["Slices"]} == {"v1"}


WEIGHTS_URI = f"s3://{TRAINING}/cohorts/weights.pth"
LICENCE = "RadImageNet: not for commercial use"


def test_the_weights_to_start_from_are_pinned_as_the_slices_are() -> None:
    workflow = Workflow()
    cohort = workflow.put_cohort()
    workflow.world.s3.add_version(TRAINING, "cohorts/weights.pth", "w1", b"tensors")
    taken = workflow.take(cohort, InitialWeights={"Uri": WEIGHTS_URI, "Licence": LICENCE})
    run = layout.run_id("run-1")
    pinned = workflow.snapshot(run)["InitialWeights"]
    assert pinned == {
        "SourceUri": WEIGHTS_URI,
        "VersionId": "w1",
        "Uri": taken["InitialWeightsUri"],
        "SHA256": hashlib.sha256(b"tensors").hexdigest(),
        "Licence": LICENCE,
    }
    copy = layout.parse_uri(taken["InitialWeightsUri"] + "weights.pth")
    assert copy[1].startswith(f"runs/{run}/initial-weights/")
    workflow.world.s3.add_version(TRAINING, "cohorts/weights.pth", "w2", b"others")
    again = workflow.take(cohort, InitialWeights={"Uri": WEIGHTS_URI, "Licence": LICENCE})
    assert again == taken
    assert workflow.world.s3.objects[copy] == b"tensors"
    assert "InitialWeights" not in workflow.snapshot(workflow.take(cohort, "run-2")["Run"])
    assert pinned_by(snapshots.digest_of(workflow.snapshot(run)), workflow.snapshot(run))


def pinned_by(digest: str, document: dict[str, Any]) -> bool:
    """Whether another licence, or other weights, would be another snapshot."""
    others = [document["InitialWeights"] | {name: "another"} for name in ("Licence", "SHA256")]
    return all(snapshots.digest_of(document | {"InitialWeights": one}) != digest for one in others)


def test_weights_that_s3_does_not_give_are_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = Workflow()
    cohort = workflow.put_cohort()
    asked = {"InitialWeights": {"Uri": WEIGHTS_URI, "Licence": LICENCE}}
    ((code, message),) = problems_of(workflow.take(cohort, "run-1", **asked))
    assert code == "UnusableWeights"
    assert message.startswith("The weights at InitialWeights.Uri cannot be used: The object version was deleted")
    workflow.world.s3.add_version(TRAINING, "cohorts/weights.pth", "w1", b"tensors")
    monkeypatch.setattr(cohorts, "MOST_WEIGHTS_BYTES", 6)
    ((code, message),) = problems_of(workflow.take(cohort, "run-2", **asked))
    assert (code, message.partition(": ")[2]) == ("UnusableWeights", "It has 7 bytes; at most 6 are taken.")


def test_no_patient_and_no_file_name_leaves_the_cohort() -> None:
    workflow = Workflow()
    workflow.take(workflow.put_cohort())
    written = {key: body for (_, key), body in workflow.world.s3.objects.items() if key.startswith("runs/")}
    assert written
    assert not any(b"P-" in body or b"normal-0" in body for body in written.values())


def test_a_patient_is_hashed_once_and_as_ingest_does() -> None:
    workflow = Workflow()
    workflow.take(workflow.put_cohort(slices_per_patient=4))
    assert workflow.world.kms.macs == 18
    patients = {one["Patient"] for one in workflow.snapshot(layout.run_id("run-1"))["Slices"]}
    assert len(patients) == 18
    assert workflow.world.ingesting.patients.hash_of("P-cap-0") in patients


def test_two_issuers_with_one_patient_id_are_divided_as_two_patients() -> None:
    patients = patients_of(("4711", "Hospital A"), ("4711", "Hospital B"), ("4711", "Hospital A"))
    assert patients[0] == patients[2] != patients[1]


def test_a_patient_id_that_also_comes_without_an_issuer_is_one_patient_on_one_side() -> None:
    patients = patients_of(("4711", "Hospital A"), ("4711", None), ("4711", "Hospital B"), ("4712", "Hospital B"))
    assert len(set(patients[:3])) == 1
    assert patients[3] != patients[0]


def patients_of(*identities: tuple[str, str | None]) -> list[str]:
    """Return the snapshot's patient of a slice of each PatientID and issuer, beside a sound cohort."""
    workflow = Workflow()
    workflow.put_cohort()
    entries = json.loads(workflow.world.s3.objects[TRAINING, "cohorts/c/manifest.json"])
    for number, (patient, issuer) in enumerate(identities):
        uids = {"StudyInstanceUID": f"1.7.{number}", "SOPInstanceUID": f"1.7.{number}.1"}
        workflow.put(f"issued-{number}.dcm", ct(PatientID=patient, IssuerOfPatientID=issuer, **uids))
        entries.append(entry(f"issued-{number}.dcm", "cap"))
    taken = workflow.take(workflow.put_manifest(entries))
    assert taken["Taken"], taken["Reasons"]
    return [one["Patient"] for one in workflow.snapshot(layout.run_id("run-1"))["Slices"]][-len(identities) :]


def test_without_a_patient_id_the_study_counts_as_the_patient() -> None:
    workflow = Workflow()
    workflow.put_cohort()
    for number, study in enumerate(("1.7", "1.7", "1.8")):
        body = ct(PatientID="", StudyInstanceUID=study, SOPInstanceUID=f"1.7.{number}")
        workflow.put(f"anon-{number}.dcm", body)
    entries = json.loads(workflow.world.s3.objects[TRAINING, "cohorts/c/manifest.json"])
    uri = workflow.put_manifest(entries + [entry(f"anon-{number}.dcm", "cap") for number in range(3)], "m2")
    workflow.take(uri)
    *_, first, second, third = workflow.snapshot(layout.run_id("run-1"))["Slices"]
    assert first["Patient"] == second["Patient"] != third["Patient"]


def test_files_of_one_name_are_found_by_the_uids_in_their_headers() -> None:
    workflow = Workflow()
    workflow.put_cohort()
    entries = json.loads(workflow.world.s3.objects[TRAINING, "cohorts/c/manifest.json"])
    for number in range(3):
        workflow.put(f"f{number}/IM1.dcm", ct(StudyInstanceUID=f"1.7.{number}", SOPInstanceUID=f"1.7.{number}.1"))
        entries.append(entry("IM1.dcm", "cap", studyId=f"1.7.{number}"))
    taken = workflow.take(workflow.put_manifest(entries))
    assert taken["Taken"], taken["Reasons"]
    studies = [one["StudyInstanceUID"] for one in workflow.snapshot(taken["Run"])["Slices"]][-3:]
    assert studies == ["1.7.0", "1.7.1", "1.7.2"]


def test_names_that_macos_writes_decomposed_are_found() -> None:
    workflow = Workflow()
    workflow.put_cohort()
    entries = json.loads(workflow.world.s3.objects[TRAINING, "cohorts/c/manifest.json"])
    workflow.put("se\u00e9/IM1.dcm", ct(StudyInstanceUID="1.7", SOPInstanceUID="1.7.1"))
    workflow.put("se\u00e8/IM1.dcm", ct(StudyInstanceUID="1.8", SOPInstanceUID="1.8.1"))
    taken = workflow.take(workflow.put_manifest([*entries, entry("see\u0301/IM1.dcm", "cap")]))
    assert taken["Taken"], taken["Reasons"]
    assert workflow.snapshot(taken["Run"])["Slices"][-1]["StudyInstanceUID"] == "1.7"


def test_patients_with_slices_of_two_classes_are_divided_by_patient() -> None:
    workflow = Workflow()
    entries = []
    for patient in range(12):
        for number, label in enumerate(("normal", "normal", "cap", "cap", "covid")):
            name, study = f"{patient}-{number}.dcm", f"1.2.{patient}"
            uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1"}
            workflow.put(name, ct(PatientID=f"P-{patient}", SOPInstanceUID=f"{study}.1.{number}", **uids))
            entries.append(entry(name, label))
    taken = workflow.take(workflow.put_manifest(entries))
    document = workflow.snapshot(taken["Run"])
    assert document["SplitBy"] == "Patient"
    assert len({(one["Patient"], one["Split"]) for one in document["Slices"]}) == 12


def test_a_retried_execution_has_the_same_snapshot_whatever_has_changed() -> None:
    workflow = Workflow()
    uri = workflow.put_cohort()
    first = workflow.take(uri)
    workflow.put("normal-0-0.dcm", ct(SOPInstanceUID="1.9", PatientID="other"), "v2")
    workflow.world.wait(60)
    assert workflow.take(uri) == first
    second = workflow.take(uri, execution="run-2")
    assert second["SnapshotDigest"] != first["SnapshotDigest"]
    assert Counter(one["VersionId"] for one in workflow.snapshot(second["Run"])["Slices"]) == {"v1": 35, "v2": 1}


def test_the_same_cohort_and_seed_have_the_same_digest_and_share_their_copies() -> None:
    workflow = Workflow()
    uri = workflow.put_cohort()
    digests = [
        workflow.take(uri, execution=str(run), Seed=seed)["SnapshotDigest"] for run, seed in enumerate((0, 0, 1))
    ]
    assert digests[0] == digests[1] != digests[2]
    assert workflow.world.s3.copies == 36


def test_the_snapshot_is_written_last_so_that_a_crash_leaves_none() -> None:
    class Crash(BaseException):
        pass

    def interfere(operation: str, when: str) -> None:
        if (operation, when) == ("put_object", "after"):
            raise Crash

    workflow = Workflow()
    uri = workflow.put_cohort()
    workflow.world.clients["s3"].interfere = interfere
    with pytest.raises(Crash):
        workflow.take(uri)
    run = layout.run_id("run-1")
    assert (TRAINING, f"runs/{run}/slices.manifest") in workflow.world.s3.objects
    assert (TRAINING, f"runs/{run}/snapshot.json") not in workflow.world.s3.objects
    workflow.world.clients["s3"].interfere = lambda *_: None
    assert workflow.take(uri)["Taken"]


def test_of_two_invocations_of_one_run_the_first_ones_snapshot_is_the_runs() -> None:
    workflow = Workflow()
    uri = workflow.put_cohort()
    first: dict[str, Any] = {}

    def interfere(operation: str, when: str) -> None:
        if (operation, when) == ("put_object", "before") and not first:
            first["taken"] = True
            first.update(workflow.take(uri))
            workflow.put("normal-0-0.dcm", ct(SOPInstanceUID="1.9"), "v2")

    workflow.world.clients["s3"].interfere = interfere
    second = workflow.take(uri)
    assert second["SnapshotDigest"] == first["SnapshotDigest"]
    names = [one["Slice"] for one in workflow.snapshot(second["Run"])["Slices"]]
    manifest = json.loads(workflow.world.s3.objects[TRAINING, layout.slices_manifest_key(second["Run"])])
    assert manifest[1:] == names


def test_the_run_names_the_champion_to_compare_with() -> None:
    workflow = Workflow()
    workflow.world.set_champion()
    assert workflow.take(workflow.put_cohort())["Champion"] == {
        "ModelPackage": "wetread/1",
        "ModelPackageArn": "arn:aws:sagemaker:eu-west-1:111111111111:model-package/wetread/1",
        "ArtifactUri": f"s3://{MODELS}/artifacts/{hashlib.sha256(ARTIFACT).hexdigest()}/model.tar.gz",
        "ArtifactSHA256": hashlib.sha256(ARTIFACT).hexdigest(),
        "PromotedAt": "2026-11-23T00:00:00.000Z",
    }


def test_a_csv_may_give_the_split() -> None:
    workflow = Workflow()
    workflow.put_cohort()
    parts = ("train", "validation", "test")
    lines = [
        f"{label}-{patient}-{one}.dcm,{label},{parts[patient % 3]}"
        for label in LABELS
        for patient in range(6)
        for one in range(2)
    ]
    workflow.put("labels.csv", "\r\n".join(["filename,label,split", *lines]).encode())
    taken = workflow.take(f"s3://{TRAINING}/cohorts/c/labels.csv")
    document = workflow.snapshot(taken["Run"])
    assert document["SplitBy"] == "Manifest"
    assert [(one["Line"], one["Split"]) for one in document["Slices"][:3]] == [
        (2, "train"),
        (3, "train"),
        (4, "validation"),
    ]


def test_every_problem_is_reported_at_once_in_the_manifests_order() -> None:
    workflow = Workflow()
    workflow.put("good.dcm", ct(SOPInstanceUID="1.1"))
    workflow.put("copy.dcm", ct(SOPInstanceUID="1.1"))
    workflow.put("a/twice.dcm", ct(SOPInstanceUID="1.3"))
    workflow.put("b/twice.dcm", ct(SOPInstanceUID="1.4"))
    workflow.put("mr.dcm", ct(SOPInstanceUID="1.5", Modality="MR"))
    workflow.put("text.dcm", b"text")
    names = ["absent.dcm", "good.dcm", "text.dcm", "mr.dcm", "twice.dcm", "copy.dcm", "good.dcm"]
    entries = [entry(name, "covid") for name in names] + [entry("x.dcm", "sick"), {"filename": "y.dcm"}]
    taken = workflow.take(workflow.put_manifest(entries))
    assert (taken["Taken"], taken["SnapshotUri"], taken["Champion"]) == (False, "", {})
    found = problems_of(taken)
    assert [code for code, _ in found] == [
        "MissingClass",
        "MissingClass",
        "MissingFile",
        "Duplicate",
        "Duplicate",
        "UnreadableHeader",
        "UnreadableHeader",
        "AmbiguousFile",
        "UnknownLabel",
        "MalformedEntry",
    ]
    said = " ".join(message for _, message in found)
    assert "Entry 3: The object is not a DICOM file" in said
    assert "Entry 4: Modality MR is not served" in said
    assert "Entries 2 and 7 label the same file" in said
    assert "Entries 2, 6 and 7 are the same bytes" in said
    verdict = json.loads(workflow.world.s3.objects[TRAINING, layout.refusal_key(taken["Run"])])
    assert (verdict["Passed"], len(verdict["Reasons"])) == (False, 10)
    assert (TRAINING, layout.snapshot_key(taken["Run"])) not in workflow.world.s3.objects


def test_ten_thousand_wrong_lines_fit_the_state_machine_and_the_refusal_has_all() -> None:
    workflow = Workflow()
    taken = workflow.take(workflow.put_manifest([entry("x.dcm", "sick")] * 10_000))
    assert len(json.dumps(taken)) < 50_000
    assert "9953 more reasons" in problems_of(taken)[-1][1]
    verdict = json.loads(workflow.world.s3.objects[TRAINING, layout.refusal_key(taken["Run"])])
    assert len(verdict["Reasons"]) == 10_003


def test_a_missing_or_malformed_manifest_is_reported() -> None:
    workflow = Workflow()
    uri = f"s3://{TRAINING}/cohorts/c/manifest.json"
    assert problems_of(workflow.take(uri))[0][0] == "MissingManifest"
    workflow.put("manifest.json", b"{")
    assert problems_of(workflow.take(uri, execution="run-2"))[0][0] == "MalformedManifest"


def test_a_wrong_input_is_reported() -> None:
    assert problems_of(Workflow().take("elsewhere", Epochs=3)) == [
        (
            "InvalidInput",
            "The field 'Epochs' is unknown; known: LabelsUri, AcceptedRisks, Seed, HyperParameters, InitialWeights.",
        ),
        (
            "InvalidInput",
            f"LabelsUri is 'elsewhere', not s3://{TRAINING}/cohorts/<folder>/manifest.json (or labels.csv).",
        ),
    ]


def test_a_deleted_object_is_a_missing_file_and_older_versions_are_not_used() -> None:
    workflow = Workflow()
    uri = workflow.put_cohort()
    workflow.documents.delete(["cohorts/c/cap-0-0.dcm"])
    ((code, message),) = problems_of(workflow.take(uri))
    assert (code, message.split(":")[0]) == ("MissingFile", "Entry 13")


def test_a_file_of_another_study_does_not_take_the_place_of_a_deleted_one() -> None:
    workflow = Workflow()
    workflow.put_cohort()
    entries = json.loads(workflow.world.s3.objects[TRAINING, "cohorts/c/manifest.json"])
    for number in range(2):
        name = f"IM{number}.dcm"
        workflow.put(f"s{number}/{name}", ct(StudyInstanceUID=f"1.7.{number}", SOPInstanceUID=f"1.7.{number}.1"))
        entries.append(entry(name, "cap", studyId=f"s{number}"))
    workflow.put("s9/IM1.dcm", ct(StudyInstanceUID="1.7.9", SOPInstanceUID="1.7.9.1"))
    assert workflow.take(workflow.put_manifest(entries))["Taken"]
    workflow.documents.delete(["cohorts/c/s1/IM1.dcm"])
    ((code, message),) = problems_of(workflow.take(workflow.put_manifest(entries), "run-2"))
    assert (code, message.split(":")[0]) == ("MissingFile", f"Entry {len(entries)}")


def test_aws_trouble_is_not_a_refusal() -> None:
    def denied(operation: str, _when: str) -> None:
        if operation == "copy_object":
            raise client_error("SlowDown")

    workflow = Workflow(World(interfere=denied))
    with pytest.raises(Exception, match="SlowDown"):
        workflow.take(workflow.put_cohort())
    assert not [key for bucket, key in workflow.world.s3.objects if key.startswith("runs/")]


def test_two_classes_of_two_patients_are_divided_by_slice() -> None:
    workflow = Workflow()
    taken = workflow.take(workflow.put_cohort(patients_per_class=2, slices_per_patient=6))
    assert workflow.snapshot(taken["Run"])["SplitBy"] == "Slice"


def test_a_header_costs_one_short_read(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = Workflow()
    uri = workflow.put_cohort()
    monkeypatch.setattr(snapshotting, "WORKERS", 1)
    workflow.take(uri)
    assert workflow.world.s3.reads == 36 + 1  # and the manifest


def test_the_public_sample_is_taken_by_slice(real_slices: list[Path]) -> None:
    workflow = Workflow()
    taken = workflow.take(workflow.put_sample(real_slices))
    document = workflow.snapshot(taken["Run"])
    assert (document["SplitBy"], len({one["Patient"] for one in document["Slices"]})) == ("Slice", 3)


def test_slices_of_labelled_studies_are_pinned_and_divided_with_their_patients() -> None:
    workflow = Workflow()
    workflow.put_cohort()
    manifest = json.loads(workflow.world.s3.objects[TRAINING, f"{COHORTS}c/manifest.json"])
    for record in manifest[1::2]:  # the second slice of each patient
        record["content"] = {"type": "study", "label": record["content"]["label"]}
    taken = workflow.take(workflow.put_manifest(manifest, "m2"))
    assert taken["Taken"], taken["Reasons"]
    entries = workflow.snapshot(taken["Run"])["Slices"]
    assert {(bool(one["Label"]), "StudyLabel" in one) for one in entries} == {(True, False), (False, True)}
    for first, second in itertools.pairwise(entries):
        if first["Patient"] == second["Patient"]:
            assert first["Split"] == second["Split"]
    read = snapshot.parse(workflow.snapshot(taken["Run"]))
    assert (len(read.cases), len(read.unlabelled)) == (18, 18)
    assert {one.study_label for one in read.unlabelled} == set(LABELS)
    assert all(one.study and one.series for one in (*read.cases, *read.unlabelled))


def test_test_patients_who_have_labels_of_studies_alone_are_recorded_as_tested() -> None:
    workflow = Workflow()
    workflow.put_cohort()
    manifest = json.loads(workflow.world.s3.objects[TRAINING, f"{COHORTS}c/manifest.json"])
    for record in manifest[::4] + manifest[1::4]:  # both slices of every second patient
        record["content"] = {"type": "study", "label": record["content"]["label"]}
    taken = workflow.take(workflow.put_manifest(manifest, "m2"))
    tested = [one for one in workflow.snapshot(taken["Run"])["Slices"] if one["Split"] == "test"]
    studies = {one["Patient"] for one in tested} - {one["Patient"] for one in tested if one["Label"]}
    assert studies
    workflow.count_attempt(taken)
    assert workflow.holdout.tested(studies) == studies


def test_a_cohort_with_labels_of_studies_alone_trains_nothing_and_says_so() -> None:
    workflow = Workflow()
    workflow.put_cohort()
    manifest = json.loads(workflow.world.s3.objects[TRAINING, f"{COHORTS}c/manifest.json"])
    for record in manifest:
        record["content"] |= {"type": "study"}
    taken = workflow.take(workflow.put_manifest(manifest, "m2"))
    assert {reason["Code"] for reason in taken["Reasons"]} == {"MissingClass"}


def test_a_study_that_is_labelled_twice_takes_no_snapshot() -> None:
    workflow = Workflow()
    workflow.put_cohort()
    manifest = json.loads(workflow.world.s3.objects[TRAINING, f"{COHORTS}c/manifest.json"])
    manifest[-1]["studyLabel"] = "normal"
    taken = workflow.take(workflow.put_manifest(manifest, "m2"))
    assert {reason["Code"] for reason in taken["Reasons"]} == {"ContradictoryLabels"}
