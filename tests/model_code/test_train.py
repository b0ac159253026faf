"""A training job on a made channel: it learns, it says so, and it leaves an artifact that inference takes."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

from model_code.__main__ import main
from model_code.artifact import load
from model_code.container import Container
from model_code.errors import TrainingError
from model_code.train import train
from tests.model_code.conftest import LABELS, PATIENTS_PER_CLASS, SIZE, SLICES_PER_PATIENT

PROGRESS = re.compile(r"epoch=(\d+) train_loss=([\d.]+) val_loss=([\d.]+) val_accuracy=([\d.]+)")


def with_channel(base: Path, channel: Path, **hyperparameters: object) -> Container:
    container = Container(base)
    container.training_channel.parent.mkdir(parents=True)
    container.training_channel.symlink_to(channel)
    container.hyperparameters.parent.mkdir(parents=True)
    container.hyperparameters.write_text(json.dumps({name: str(value) for name, value in hyperparameters.items()}))
    return container


def test_the_log_shows_it_learning(container: Container) -> None:
    lines = [tuple(map(float, match)) for match in PROGRESS.findall((container.base / "training.log").read_text())]
    assert [line[0] for line in lines] == [1, 2, 3, 4, 5]
    assert lines[-1][1] < lines[0][1] / 2
    assert lines[-1][3] == 1


def test_it_learns(container: Container) -> None:
    document = json.loads((container.model_dir / "metadata.json").read_text())
    assert document["eval_metrics"]["val_balanced_accuracy"] == 1
    slices = PATIENTS_PER_CLASS * SLICES_PER_PATIENT
    assert document["training"]["slices"] == dict.fromkeys(LABELS, slices)
    assert document["training"]["patients"] == PATIENTS_PER_CLASS * len(LABELS)
    assert document["training"]["validation_patients"] == len(LABELS)
    assert document["training"]["hyperparameters"]["batch_size"] == 4


def test_the_artifact_names_no_patient_and_no_object(container: Container) -> None:
    text = (container.model_dir / "metadata.json").read_text()
    assert not re.search(r"\bP\d+\b|\.dcm|study-", text)


def test_what_it_leaves_can_be_loaded(container: Container) -> None:
    network, about = load(container.model_dir)
    assert not network.training
    assert (about.name, about.version, about.labels) == ("tiny", "1.2.3", LABELS)
    assert about.preprocessing.image_size == SIZE


def test_one_patient_per_class_trains_without_validation_and_says_so(
    tmp_path: Path, channel: Path, caplog: pytest.LogCaptureFixture
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    entries = [one for one in json.loads((channel / "manifest.json").read_text()) if int(one["studyId"][6:]) < 3]
    (few / "manifest.json").write_text(json.dumps(entries))
    (few / "objects").symlink_to(channel)
    for folder in channel.glob("study-[012]"):
        (few / folder.name).mkdir()
        for path in folder.iterdir():
            (few / folder.name / path.name).write_bytes(path.read_bytes())
    container = with_channel(tmp_path / "base", few, epochs=1, image_size=SIZE)
    with caplog.at_level(logging.INFO, "model_code"):
        train(container)
    assert "no validation: fewer than two patients with cap, covid, normal" in caplog.text
    document = json.loads((container.model_dir / "metadata.json").read_text())
    assert document["eval_metrics"] == {}
    assert document["training"]["validation"].startswith("fewer than two patients")


def test_a_class_without_slices_is_refused(tmp_path: Path, channel: Path) -> None:
    with pytest.raises(TrainingError, match="no slice labelled flu"):
        train(with_channel(tmp_path, channel, labels="normal,cap,covid,flu"))


def test_a_failure_is_written_where_sagemaker_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    assert main(["train"]) == 1
    assert "has no manifest.json" in (tmp_path / "output" / "failure").read_text()
    assert not (tmp_path / "model").exists()
