"""A training job on a made snapshot: it learns, logs its metrics, and writes an artifact that inference loads."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch

from model_code.__main__ import main
from model_code.artifacts.artifact import describe, load_network
from model_code.backends import networks
from model_code.container import Container
from model_code.errors import SnapshotError, TrainingError
from model_code.studies import Study
from model_code.training import train as training
from model_code.training.study_rule import StudyRule, fit_rule
from model_code.training.train import train
from tests.model_code.conftest import LABELS, SIZE, SLICES_PER_PATIENT, chests, opt_ml
from tests.snapshots import phantom_slices

# The patterns of the training job's MetricDefinitions.
METRICS = {
    "train:loss": r"train_loss=([0-9.]+)",
    "validation:loss": r"val_loss=([0-9.]+)",
    "validation:accuracy": r"val_accuracy=([0-9.]+)",
    "validation:balanced_accuracy": r"val_balanced_accuracy=([0-9.]+)",
    "epoch_seconds": r"epoch_seconds=([0-9.]+)",
}


def metadata(container: Container) -> dict[str, object]:
    document: dict[str, object] = json.loads((container.model_dir / "metadata.json").read_text())
    return document


def test_the_log_shows_it_learning_where_sagemaker_looks(container: Container) -> None:
    lines = [line for line in (container.base / "training.log").read_text().splitlines() if line.startswith("epoch=")]
    assert [line.split(" train_loss")[0] for line in lines] == [f"epoch={number} of 5" for number in range(1, 6)]
    charts = {name: [float(value) for line in lines for value in re.findall(p, line)] for name, p in METRICS.items()}
    assert all(len(values) == 5 for values in charts.values())
    assert charts["train:loss"][-1] < charts["train:loss"][0] / 2
    assert charts["validation:balanced_accuracy"][-1] == 1


def test_the_metadata_says_how_the_model_came_to_be(container: Container) -> None:
    document = metadata(container)
    training = document["training"]
    snapshot = json.loads(container.snapshot_channel.read_text())
    assert training["snapshot_digest"] == snapshot["Digest"]
    assert training["slices"] == {
        "train": dict.fromkeys(LABELS, 2 * SLICES_PER_PATIENT),
        "validation": dict.fromkeys(LABELS, SLICES_PER_PATIENT),
    }
    assert document["pictures"] == {"planes": ["axial"], "image_types": ["original", "derived"]}
    assert training["patients"] == {"train": 2 * len(LABELS), "validation": len(LABELS)}
    assert training["hyperparameters"]["model_version"] == "1.2.3"
    assert [line["epoch"] for line in training["history"]] == [1, 2, 3, 4, 5]
    best = training["history"][training["best_epoch"] - 1]
    assert document["eval_metrics"].items() <= best.items()
    assert document["eval_metrics"]["val_balanced_accuracy"] == 1


@pytest.mark.parametrize(("real", "expected"), [(None, (True, 6)), ("validation", (False, 5)), ("test", (True, 6))])
def test_a_model_of_synthetic_slices_alone_is_marked_by_what_the_slices_say(
    tmp_path: Path, real: str | None, expected: tuple[bool, int]
) -> None:
    slices = phantom_slices(patients=9, slices_per_patient=1, size=64)
    exchanged = next((number for number, one in enumerate(slices) if one.split == real), None)
    if exchanged is not None:
        slices[exchanged] = dataclasses.replace(slices[exchanged], body=chests()[0].body)
    made = opt_ml(tmp_path, slices, epochs=1, image_size=SIZE)
    train(made)
    document = metadata(made)
    assert (document["synthetic"], document["training"]["synthetic_slices"]) == expected  # type: ignore[index]
    assert describe(made.model_dir).synthetic is expected[0]


def test_few_validation_patients_give_no_temperature_and_the_classes_frequencies_are_in_the_logits(
    tmp_path: Path,
) -> None:
    rare = [one for one in chests() if one.split != "train" or one.label == "normal" or one.patient.endswith("0")]
    made = opt_ml(tmp_path, rare, epochs=1, image_size=SIZE)
    train(made)
    document = metadata(made)
    record = document["training"]["calibration"]  # type: ignore[index]
    assert "has 3 patients: 12 are needed" in record["reason"]
    assert document["calibration"] == {"temperature": 1.0}
    assert record["log_prior"] == pytest.approx([math.log(1.5), math.log(0.75), math.log(0.75)], abs=1e-5)
    (left,) = (made.base / "checkpoints").glob("*.pt")
    before = torch.load(left, weights_only=True)["state"]["progress"]["best"]["weights"]
    after = torch.load(made.model_dir / "model.pth", weights_only=True)
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"class_layers.out.bias"}
    shift = after["class_layers.out.bias"] - before["class_layers.out.bias"]
    assert shift.tolist() == pytest.approx(record["log_prior"], abs=1e-5)


def test_the_test_slices_are_never_opened(tmp_path: Path) -> None:
    slices = [dataclasses.replace(one, body=b"no DICOM") if one.split == "test" else one for one in chests()]
    container = opt_ml(tmp_path, slices, epochs=1, image_size=SIZE)
    for entry in json.loads(container.snapshot_channel.read_text())["Slices"]:
        if entry["Split"] == "test":
            (container.slices_channel / entry["Slice"]).unlink()
    train(container)
    assert load_network(container.model_dir, describe(container.model_dir))


def test_the_artifact_names_no_patient_and_no_object(container: Container) -> None:
    text = (container.model_dir / "metadata.json").read_text()
    snapshot = json.loads(container.snapshot_channel.read_text())
    named = {entry[name] for entry in snapshot["Slices"] for name in ("Slice", "Patient", "StudyInstanceUID")}
    assert not any(name in text for name in named)


def test_what_it_leaves_can_be_loaded(container: Container) -> None:
    about = describe(container.model_dir)
    network = load_network(container.model_dir, about)
    assert not network.training
    assert (about.name, about.version, about.labels) == ("tiny", "1.2.3", LABELS)
    assert about.preprocessing.image_size == SIZE


def test_another_network_is_trained_named_and_loaded(tmp_path: Path) -> None:
    made = opt_ml(tmp_path, chests(), epochs=1, image_size=SIZE, network="densenet169")
    train(made)
    about = describe(made.model_dir)
    assert about.network == "densenet169"
    layers = sum(name.endswith("conv2.weight") for name in load_network(made.model_dir, about).state_dict())
    assert layers == 6 + 12 + 32 + 32


def test_it_starts_from_the_weights_that_the_snapshot_pins_and_records_them(tmp_path: Path) -> None:
    body = BytesIO()
    torch.save(networks.build(7).state_dict(), body)
    pinned = {"SHA256": hashlib.sha256(body.getvalue()).hexdigest(), "Licence": "as you like"}
    slices = phantom_slices(patients=9, slices_per_patient=1, size=64)
    started = opt_ml(tmp_path / "started", slices, changes={"InitialWeights": pinned}, epochs=1, image_size=SIZE)
    started.initial_weights.parent.mkdir()
    started.initial_weights.write_bytes(body.getvalue())
    plain = opt_ml(tmp_path / "plain", slices, epochs=1, image_size=SIZE)
    train(started)
    train(plain)
    expected = {"sha256": pinned["SHA256"], "licence": "as you like"}
    assert metadata(started)["training"]["initial_weights"] == expected  # type: ignore[index]
    assert "initial_weights" not in metadata(plain)["training"]  # type: ignore[operator]
    assert describe(started.model_dir).weights_sha256 != describe(plain.model_dir).weights_sha256


def test_weights_that_no_snapshot_pins_end_the_training_before_it_begins(tmp_path: Path) -> None:
    made = opt_ml(tmp_path, phantom_slices(patients=9, slices_per_patient=1, size=64), epochs=1, image_size=SIZE)
    made.initial_weights.parent.mkdir()
    made.initial_weights.write_bytes(b"tensors")
    with pytest.raises(TrainingError, match="its snapshot pins none"):
        train(made)


@pytest.mark.parametrize("record", [[], {"SHA256": "0"}, {"SHA256": "0" * 64}, {"SHA256": "0" * 64, "Licence": ""}])
def test_a_snapshot_with_half_a_record_of_weights_is_malformed(tmp_path: Path, record: object) -> None:
    made = opt_ml(tmp_path, phantom_slices(patients=3), changes={"InitialWeights": record}, epochs=1)
    with pytest.raises(SnapshotError, match="InitialWeights: "):
        train(made)


def test_without_validation_slices_it_trains_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    slices = [one for one in chests() if one.split == "train"]
    container = opt_ml(tmp_path, slices, epochs=1, image_size=SIZE)
    with caplog.at_level(logging.INFO, "model_code"):
        train(container)
    assert "no validation slices: the last epoch's model is kept" in caplog.text
    document = metadata(container)
    assert (document["eval_metrics"], document["calibration"]) == ({}, {"temperature": 1.0})
    assert "the validation part has 0 patients: 12 are needed" in document["training"]["calibration"]["reason"]  # type: ignore[index]


def test_every_slice_that_cannot_be_read_is_named_by_its_line(tmp_path: Path) -> None:
    slices = [
        dataclasses.replace(one, body=b"no DICOM") if line in {2, 30} else one
        for line, one in enumerate(chests(), start=1)
    ]
    assert {slices[1].split, slices[29].split} == {"train", "validation"}
    with pytest.raises(TrainingError) as caught:
        train(opt_ml(tmp_path, slices, image_size=SIZE))
    assert "2 of the snapshot's slices cannot be trained on: line 2: NotDicom" in str(caught.value)
    assert "; line 30: NotDicom" in str(caught.value)


def test_a_slice_with_other_bytes_than_the_snapshot_pinned_is_refused(tmp_path: Path) -> None:
    container = opt_ml(tmp_path, chests(), image_size=SIZE)
    name = json.loads(container.snapshot_channel.read_text())["Slices"][4]["Slice"]
    with (container.slices_channel / name).open("ab") as body:
        body.write(b"\0")
    with pytest.raises(TrainingError, match=r"line 5: .* its bytes were changed"):
        train(container)


def test_a_class_without_slices_to_train_on_is_refused(tmp_path: Path) -> None:
    slices = [one for one in chests() if one.label != "cap" or one.split != "train"]
    with pytest.raises(TrainingError, match="split train has no slice labelled cap"):
        train(opt_ml(tmp_path, slices))


def test_the_cause_is_logged_where_the_failure_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    (tmp_path / "output").write_text("a file in the folder's place")
    caplog.set_level(logging.INFO, "model_code")
    caplog.set_level(logging.INFO)  # whatever a test before has left
    assert main(["train"]) == 1
    assert "no snapshot.json" in caplog.messages[-1]
    assert f"since {tmp_path}/output/failure cannot be written: " in caplog.messages[-2]


def test_the_failure_of_an_earlier_try_does_not_hide_this_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "failure").write_text("of yesterday")
    assert main(["train"]) == 1
    assert "no snapshot.json" in (tmp_path / "output" / "failure").read_text()


def test_a_failure_is_written_where_sagemaker_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    assert main(["train"]) == 1
    assert "no snapshot.json" in (tmp_path / "output" / "failure").read_text()
    assert not (tmp_path / "model").exists()


def test_the_rule_for_studies_is_fitted_on_patients_from_whom_no_network_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice without a label is read, and no network learns from it."""
    made = phantom_slices(patients=9, slices_per_patient=1, size=64)
    of_study = [
        dataclasses.replace(one, label="", study_label=one.label)
        for one in made
        if one.split in {"train", "validation"}
    ]
    alone = dataclasses.replace(of_study[0], patient="alone", split="train")
    seen: list[Study] = []

    def recording(studies: list[Study], *rest: Any) -> StudyRule:
        seen.extend(studies)
        return fit_rule(studies, *rest)

    monkeypatch.setattr(training, "fit_rule", recording)
    container = opt_ml(tmp_path, [*made, *of_study, alone], epochs=1, image_size=64)
    train(container)
    validated = {hashlib.sha256(one.patient.encode()).hexdigest()[:32] for one in made if one.split == "validation"}
    by_patient = {one.patient: one for one in seen}
    assert by_patient.keys() == validated | {hashlib.sha256(b"alone").hexdigest()[:32]}
    assert [len(by_patient[patient].slices) for patient in validated] == [2, 2, 2]
    assert all(one.label and one.slices[0].position is not None for one in seen)
    document = metadata(container)
    assert document["training"]["slices"]["train"] == dict.fromkeys(LABELS, 1)  # type: ignore[index]
    assert document["study"]["reference"] == "normal"  # type: ignore[index]
    assert document["training"]["studies"]["reason"].startswith("The simple rule: 0 validation patients")  # type: ignore[index]
