"""snapshot/1: what the functions write is what the container reads, and a changed one is refused by both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.domain import snapshot as written
from model_code import snapshot as read
from model_code.errors import SnapshotError
from model_code.snapshot import Case, Snapshot, Split, SplitBy
from tests.fakes.dicom import ct
from tests.fakes.workflow import LABELS, TRAINING, Workflow


@pytest.fixture(scope="module")
def workflow() -> Workflow:
    workflow = Workflow()
    workflow.take(workflow.put_cohort(), execution="contract", Seed=5)
    return workflow


def document(workflow: Workflow) -> Any:
    (key,) = (key for _, key in workflow.world.s3.objects if key.endswith("/snapshot.json"))
    return json.loads(workflow.world.s3.objects[TRAINING, key])


def laid_out(workflow: Workflow, folder: Path) -> Snapshot:
    """The snapshot as a job reads it, its slices in ``folder``, as SageMaker brings them by the run's manifest."""
    objects = workflow.world.s3.objects
    (manifest,) = (json.loads(body) for (_, key), body in objects.items() if key.endswith("/slices.manifest"))
    prefix = manifest[0]["prefix"].removeprefix(f"s3://{TRAINING}/")
    for name in manifest[1:]:
        (folder / name).write_bytes(objects[TRAINING, prefix + name])
    path = folder / "snapshot.json"
    path.write_bytes(next(body for (_, key), body in objects.items() if key.endswith("/snapshot.json")))
    return read.read(path)


def test_a_snapshot_is_read_as_it_was_written(workflow: Workflow, tmp_path: Path) -> None:
    found, source = laid_out(workflow, tmp_path), document(workflow)
    assert (found.digest, found.labels, found.seed) == (source["Digest"], LABELS, 5)
    assert found.split_by is SplitBy.PATIENT
    assert [(case.line, case.name, case.label, case.split.value) for case in found.cases] == [
        (one["Line"], one["Slice"], one["Label"], one["Split"]) for one in source["Slices"]
    ]
    for case in found.cases:
        assert hashlib.sha256(case.read(tmp_path)).hexdigest() == case.content_sha256


def test_words_are_spelled_alike_on_both_sides() -> None:
    assert [part.value for part in Split] == [part.value for part in written.Split]
    assert [by.value for by in SplitBy] == [by.value for by in written.SplitBy]
    assert read.SCHEMA == written.SCHEMA


def test_both_sides_know_the_same_digest(workflow: Workflow) -> None:
    source = document(workflow)
    assert read.digest_of(source) == written.digest_of(source) == source["Digest"]


def relabel(source: Any) -> None:
    source["Slices"][0]["Label"] = "cap"


def move(source: Any) -> None:
    source["Slices"][0]["Split"] = "test" if source["Slices"][0]["Split"] == "train" else "train"


def drop(source: Any) -> None:
    del source["Slices"][0]


def reseed(source: Any) -> None:
    source["Seed"] += 1


@pytest.mark.parametrize("tamper", [relabel, move, drop, reseed])
def test_a_changed_snapshot_is_refused(workflow: Workflow, tamper: Callable[[Any], None]) -> None:
    source = document(workflow)
    tamper(source)
    with pytest.raises(SnapshotError, match="changed after it was taken"):
        read.parse(source)


def test_bytes_that_are_not_the_snapshots_are_refused(workflow: Workflow, tmp_path: Path) -> None:
    case: Case = laid_out(workflow, tmp_path).cases[0]
    (tmp_path / case.name).write_bytes(ct(SOPInstanceUID="1.9"))
    with pytest.raises(SnapshotError, match="changed after the snapshot"):
        case.read(tmp_path)


def test_a_split_by_slice_and_one_of_the_manifests_own_are_read() -> None:
    for changes, expected in (
        ({"patients_per_class": 1, "slices_per_patient": 8}, SplitBy.SLICE),
        ({}, SplitBy.MANIFEST),
    ):
        workflow = Workflow()
        uri = workflow.put_cohort(**changes)
        if expected is SplitBy.MANIFEST:
            entries = json.loads(workflow.world.s3.objects[TRAINING, "cohorts/c/manifest.json"])
            workflow.put_manifest([entry | {"split": "train"} for entry in entries], "m2")
        workflow.take(uri)
        assert read.parse(document(workflow)).split_by is expected
