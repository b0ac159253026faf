"""The record of the training: from an artifact that the container's own command wrote."""

from __future__ import annotations

from pathlib import Path

from model_code.artifacts.packing import pack
from model_code.container import Container
from model_code.evaluation.training_record import parts_of, read_training
from model_code.snapshot import read


def test_what_training_wrote_is_in_the_evaluation(container: Container, tmp_path: Path) -> None:
    pack(container.model_dir, tmp_path / "model.tar.gz")
    found = read_training(tmp_path / "model.tar.gz")
    assert found["Hyperparameters"]["network"] == "densenet121"
    assert found["Epochs"] == len(found["History"]) > 0
    kept = next(one for one in found["History"] if one["Epoch"] == found["BestEpoch"])
    assert kept["ValidationBalancedAccuracy"] == found["Validation"]["BalancedAccuracy"]
    assert all(value is not None for one in found["History"] for value in one.values())


def test_the_parts_are_counted_by_patients_and_class(container: Container) -> None:
    found = parts_of(read(container.snapshot_channel))
    assert list(found) == ["train", "validation", "test"]
    assert found["train"]["Patients"] == 6
    assert found["test"]["ByClass"]["cap"] == {"Slices": 4, "Patients": 1}
