"""The command ``audit`` on made snapshots: what it writes, refuses, and never reveals."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import JPEGLosslessSV1

from model_code.__main__ import main
from model_code.audit.command import WINDOW, audit
from model_code.container import Container
from tests.snapshots import Labelled, phantom_slices, write_snapshot
from wetread.demo.phantoms import LABELS, phantom, phantom_bytes


def audited(base: Path, slices: Sequence[Labelled], **changes: Any) -> dict[str, Any]:
    """Audit a snapshot of the slices and return the document."""
    paths = Container(base).processing
    write_snapshot(paths.base / "input", slices, **changes)
    audit(paths)
    document: dict[str, Any] = json.loads(paths.audit.read_text())
    return document


def test_a_sound_cohort_has_no_findings(tmp_path: Path) -> None:
    slices = phantom_slices(patients=18)
    document = audited(tmp_path, slices)
    assert document["Schema"] == "audit/2"
    assert document["Slices"] == len(slices) == 36
    assert len(slices) > WINDOW
    snapshot = json.loads((tmp_path / "processing/input/snapshot/snapshot.json").read_text())
    assert document["SnapshotDigest"] == snapshot["Digest"]
    nothing = {"Count": 0, "Examples": []}
    assert (document["Unreadable"], document["Identical"]) == (nothing, nothing)
    near = document["NearIdentical"]
    assert near == nothing | {"Threshold": 140, "SimilarityThreshold": near["SimilarityThreshold"]}
    assert (document["SamePatient"]["Count"], document["SamePatient"]["Examples"]) == (0, [])
    for subject in ("Acquisition", "Person", "Position", "Background"):
        found = document[subject]
        assert (found["Unit"], found["Units"]) == ("Patient", 18)
        assert found["AttainablePValue"] <= 0.01 < found["PValue"]


def test_the_same_snapshot_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (audited(tmp_path / name, phantom_slices()) for name in ("one", "two"))
    assert first == second


def test_copies_across_the_split_are_named_by_line(tmp_path: Path) -> None:
    slices = phantom_slices()
    other_format = phantom_bytes("normal", 0, 0, size=128, transfer_syntax=JPEGLosslessSV1)
    noisy = phantom("cap", 1, 0, size=128)
    pixels = noisy.pixel_array.copy()
    pixels[::7] += 9
    noisy.PixelData = pixels.tobytes()
    stream = tmp_path / "noisy.dcm"
    noisy.save_as(stream, enforce_file_format=True)
    copies = [
        Labelled(other_format, "normal", "someone-else", "test"),
        Labelled(stream.read_bytes(), "cap", "another", "validation"),
    ]
    document = audited(tmp_path, [*slices, *copies])
    assert (slices[0].split, slices[2].split) == ("train", "train")
    assert document["Identical"] == {"Count": 1, "Examples": [{"Lines": [1, 19], "Splits": ["train", "test"]}]}
    assert document["NearIdentical"]["Count"] == 1
    example = document["NearIdentical"]["Examples"][0]
    assert (example["Lines"], example["Splits"]) == ([3, 20], ["train", "validation"])
    assert 0 <= example["Distance"] <= document["NearIdentical"]["Threshold"]


def test_copies_on_the_same_side_are_no_finding(tmp_path: Path) -> None:
    slices = phantom_slices()
    document = audited(tmp_path, [*slices, Labelled(slices[0].body, "normal", "P0", slices[0].split)])
    assert document["Identical"]["Count"] == 0
    assert document["NearIdentical"]["Count"] == 0


def test_undecodable_slices_are_findings_not_failures(tmp_path: Path) -> None:
    slices = phantom_slices()
    compressed = phantom_bytes("covid", 50, 0, size=128, transfer_syntax=JPEGLosslessSV1)
    bad = [
        Labelled(b"no DICOM", "covid", "P50", "train"),
        Labelled(compressed[:-3000], "covid", "P51", "train"),
    ]
    document = audited(tmp_path, [*slices, *bad])
    assert document["Unreadable"]["Count"] == 2
    assert [(one["Line"], one["Code"]) for one in document["Unreadable"]["Examples"]] == [
        (19, "NotDicom"),
        (20, "UndecodablePixelData"),
    ]
    assert all(one["Message"].endswith(".") for one in document["Unreadable"]["Examples"])


def test_many_findings_are_counted_and_some_shown(tmp_path: Path) -> None:
    broken = [Labelled(b"%d" % number, LABELS[number % 3], f"P{number}", "train") for number in range(70)]
    copies = [
        Labelled(phantom_bytes("cap", 0, 0, size=64), "cap", "P", ("train", "test")[index % 2]) for index in range(60)
    ]
    document = audited(tmp_path, [*broken, *copies])
    assert (document["Unreadable"]["Count"], len(document["Unreadable"]["Examples"])) == (70, 50)
    assert document["Identical"] == {"Count": 1, "Examples": [{"Lines": [71, 72], "Splits": ["train", "test"]}]}
    assert document["Acquisition"]["BalancedAccuracy"] is None


def test_the_document_holds_no_value_of_a_tag(tmp_path: Path) -> None:
    text = json.dumps(audited(tmp_path, phantom_slices()))
    assert not re.search(r"PHANTOM|Phantom|Halo|Torus|2\.25\.|2026|STANDARD", text)


def test_the_public_sample_is_found_out(tmp_path: Path, real_slices: list[Path]) -> None:
    manifest = json.loads((real_slices[0].parent / "manifest.json").read_text())
    bodies = {path.name: path.read_bytes() for path in real_slices}
    slices = [
        Labelled(
            bodies[entry["filename"]],
            entry["content"]["label"],
            entry["content"]["label"],  # a patient each
            ("train", "train", "train", "validation", "test")[number % 5],
        )
        for number, entry in enumerate(manifest)
    ]
    # As in the sample, of which the four test files are copies of training files.
    copies = [Labelled(one.body, one.label, one.patient, "test") for one in slices if one.split == "train"][:4]
    document = audited(tmp_path, [*slices, *copies], SplitBy="Slice")
    assert document["Identical"]["Count"] == 4
    assert document["NearIdentical"]["Count"] >= 1
    assert document["Acquisition"]["Unit"] == "Slice"
    assert document["Acquisition"]["PValue"] == 0.001


def test_bytes_that_are_not_the_snapshots_fail_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    container = Container(tmp_path)
    write_snapshot(container.processing.base / "input", phantom_slices())
    changed = sorted(container.processing.slices.iterdir())[0]
    changed.write_bytes(changed.read_bytes() + b".")
    assert main(["audit"]) == 1
    assert re.fullmatch(
        rf"line \d+: {changed.name} has the sha256 .* Start the run again\.", container.message.read_text()
    )
    assert not container.processing.audit.exists()
    assert not container.failure.exists()


def test_the_command_writes_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    write_snapshot(tmp_path / "processing/input", phantom_slices(patients=3))
    assert main(["audit"]) == 0
    assert json.loads((tmp_path / "processing/output/audit/audit.json").read_text())["Slices"] == 6
    assert not (tmp_path / "output/message").exists()
