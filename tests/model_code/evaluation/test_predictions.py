"""Models are loaded or refused by name, and predict the same slices in the same order."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model_code import snapshot
from model_code.artifacts.artifact import sha256_of
from model_code.backends.backend import Backend, Outputs
from model_code.errors import EvaluationError, SnapshotError
from model_code.evaluation import predictions
from model_code.evaluation.predictions import load_model, predict
from model_code.inference import Model
from model_code.reading.ct_slice import read_slice
from model_code.reading.dicom import read_instance
from model_code.snapshot import Snapshot, Split
from tests.model_code.evaluation.conftest import LABELS, MakeArchive, MakeModel
from tests.snapshots import Labelled, phantom_slices, write_snapshot


def taken(folder: Path, slices: list[Labelled] | None = None) -> tuple[Snapshot, Path]:
    found = snapshot.read(write_snapshot(folder, slices or phantom_slices()))
    return found, folder / "slices"


def test_every_model_answers_about_every_slice_with_its_own_preprocessing(
    tmp_path: Path, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "BATCH", 4)
    found, folder = taken(tmp_path)
    cases = found.of(Split.TEST)
    models = [make_model(seed=1), make_model(seed=2, size=12)]
    test, found_predictions = predict(models, LABELS, cases, folder)
    assert len(cases) == 6
    assert test.targets.tolist() == [LABELS.index(case.label) for case in cases]
    assert test.patients.max() == 2
    assert [test.patients[index] == test.patients[index + 1] for index in range(0, 6, 2)] == [True] * 3
    assert {len(values) for values in test.attributes.values()} == {6}
    assert set(test.attributes["Manufacturer"]) <= {"PHANTOM MEDICAL", "SYNTHETIC IMAGING"}
    for model, given in zip(models, found_predictions, strict=True):
        assert given.identity == model.identity
        for row, case in enumerate(cases):
            image = model.prepare(read_slice(read_instance(case.read(folder))))
            assert given.probabilities[row] == pytest.approx(
                model.probabilities(model.logits(image[None]))[0].numpy(), abs=1e-6
            )


def test_the_temperature_is_applied_and_reported(tmp_path: Path, make_model: MakeModel) -> None:
    found, folder = taken(tmp_path)
    _, (sharp, soft) = predict([make_model(), make_model(temperature=3.0)], LABELS, found.of(Split.TEST), folder)
    assert (sharp.temperature, soft.temperature) == (1.0, 3.0)
    assert (soft.uncalibrated == sharp.probabilities).all()
    assert (soft.probabilities.max(axis=1) < sharp.probabilities.max(axis=1)).all()
    assert (soft.predicted == sharp.predicted).all()


class WithoutNumbers(Backend):
    """A backend with logits that no softmax has a number for, for every second slice."""

    def outputs(self, images: torch.Tensor) -> Outputs:
        logits = torch.zeros(len(images), len(LABELS), dtype=torch.double)
        logits[::2] = math.nan
        return Outputs(logits)


def test_a_model_without_probabilities_is_not_measured(tmp_path: Path, make_model: MakeModel) -> None:
    found, folder = taken(tmp_path)
    broken = replace(make_model(), backend=WithoutNumbers())
    with pytest.raises(EvaluationError, match=r"model \S+ computes no finite probabilities for 3 of the 6 test slices"):
        predict([make_model(), broken], LABELS, found.of(Split.TEST), folder)


def test_classes_in_another_order_are_put_in_the_snapshots(tmp_path: Path, make_model: MakeModel) -> None:
    found, folder = taken(tmp_path)
    _, (one, turned) = predict(
        [make_model(), make_model(labels=("covid", "normal", "cap"))], LABELS, found.of(Split.TEST), folder
    )
    assert turned.probabilities[:, [2, 0, 1]] == pytest.approx(one.probabilities)


def test_slices_that_cannot_be_decoded_are_all_named(tmp_path: Path, make_model: MakeModel) -> None:
    bad = [Labelled(b"no DICOM %d" % number, "cap", "P9", "test") for number in range(2)]
    found, folder = taken(tmp_path, [*phantom_slices(), *bad])
    with pytest.raises(EvaluationError, match=r"2 test slices cannot be decoded: line 19: NotDicom: .*; line 20: "):
        predict([make_model()], LABELS, found.of(Split.TEST), folder)


def test_other_bytes_than_the_snapshots_are_refused(tmp_path: Path, make_model: MakeModel) -> None:
    found, folder = taken(tmp_path)
    case = found.of(Split.TEST)[0]
    (folder / case.name).write_bytes(b"other")
    with pytest.raises(SnapshotError, match=f"line {case.line}: "):
        predict([make_model()], LABELS, found.of(Split.TEST), folder)


def load(archive: Path, role: str, labels: tuple[str, ...] = LABELS) -> Model:
    return load_model(archive, role, labels, sha256_of(archive))


@pytest.mark.parametrize("role", ["candidate", "champion"])
@pytest.mark.parametrize("digest", ["ab" * 32, ""])
def test_another_file_than_the_runs_is_refused_before_it_is_opened(
    make_archive: MakeArchive, role: str, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "unpack", lambda *_: pytest.fail("it was opened"))
    archive = make_archive()
    with pytest.raises(EvaluationError, match=f"input named {role} has the SHA-256 {sha256_of(archive)}, .* replaced"):
        load_model(archive, role, LABELS, digest)


def test_a_sound_artifact_is_loaded(make_archive: MakeArchive) -> None:
    model = load(make_archive(temperature=2.5), "candidate")
    assert (model.labels, model.temperature, model.identity["Name"]) == (LABELS, 2.5, "untrained")


def test_a_model_that_is_not_there_or_not_sound_is_named(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    with pytest.raises(EvaluationError, match=r"no model\.tar\.gz in the input named candidate"):
        load_model(archive, "candidate", LABELS, "")
    archive.write_bytes(b"no archive")
    with pytest.raises(EvaluationError, match=r"The champion cannot be loaded: .* roll back .* start the run again"):
        load(archive, "champion")
    with pytest.raises(EvaluationError, match=r"The candidate cannot be loaded: .* Train it again"):
        load(archive, "candidate")


def test_a_model_of_other_classes_is_named(make_archive: MakeArchive) -> None:
    with pytest.raises(
        EvaluationError, match="The champion has the classes ill, well, the snapshot normal, cap, covid: "
    ):
        load(make_archive(labels=("ill", "well")), "champion")
    assert np.array_equal(LABELS, load(make_archive(), "champion", LABELS[::-1]).labels)
