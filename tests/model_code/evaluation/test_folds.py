"""Evaluation by folds: every patient is tested once, champions alike, and never a model on whom it was trained."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from functions.domain import evaluation as gate
from functions.domain.evaluation import OutOfFold
from model_code import out_of_fold
from model_code.__main__ import main
from model_code.artifacts import seal
from model_code.artifacts.artifact import sha256_of
from model_code.artifacts.packing import pack
from model_code.container import Container, Processing
from model_code.training.train import train
from tests.model_code.conftest import LABELS, SIZE, chests, opt_ml
from tests.model_code.folds import TINY, in_folds, register_tiny
from tests.snapshots import Labelled, write_snapshot

FOLDS = 3
GOOD = {"epochs": 25, "image_size": SIZE, "network": TINY, "learning_rate": 0.03, "batch_size": 8}


@dataclass(frozen=True)
class Run:
    """A trained model's archive, and what it was trained on."""

    container: Container
    archive: Path

    @property
    def snapshot(self) -> Path:
        return self.container.snapshot_channel


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        register_tiny(patch)
        yield


def ran(base: Path, slices: Sequence[Labelled], **changes: object) -> Run:
    container = opt_ml(base, list(slices), **(GOOD | changes))
    train(container)
    pack(container.model_dir, base / "model.tar.gz")
    return Run(container, base / "model.tar.gz")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A model by folds of patients 0 to 5 of each class."""
    return ran(tmp_path_factory.mktemp("first"), in_folds(FOLDS))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Another one, of patients 2 to 7: two thirds of them are also the first one's, in other folds."""
    return ran(tmp_path_factory.mktemp("second"), in_folds(FOLDS, first=2), seed=5)


@pytest.fixture(scope="module")
def by_test_part(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A model with a test part: patients 3 and 7 of each class."""
    return ran(tmp_path_factory.mktemp("part"), chests(8))


def evaluated(base: Path, candidate: Run, monkeypatch: pytest.MonkeyPatch, **rivals: Run) -> tuple[int, Container]:
    """Run the command on a candidate and its rivals, by role."""
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(base))
    made = Container(base)
    shutil.copytree(candidate.container.base / "input/data", base / "processing/input")
    arguments = ["evaluate"]
    for role, run in {"candidate": candidate, **rivals}.items():
        place = getattr(made.processing, role)
        place.parent.mkdir()
        shutil.copyfile(run.archive, place)
        arguments += [f"--{role}-sha256", sha256_of(place)]
        if role != "candidate":
            snapshot = getattr(made.processing, f"{role}_snapshot")
            snapshot.parent.mkdir()
            shutil.copyfile(run.snapshot, snapshot)
    return main(arguments), made


def document_of(processing: Processing) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((processing.evaluation / "evaluation.json").read_text())
    return document


def predicted(run: Run) -> dict[int, int]:
    """Return the classes out of fold, by line."""
    found = out_of_fold.parse((run.container.model_dir / out_of_fold.FILE).read_bytes())
    return {line: int(np.argmax(row.logits)) for line, row in found.rows.items()}


def entries(run: Run) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run.snapshot.read_text())["Slices"]
    return found


def test_from_training_to_the_document_every_patient_is_tested_once(
    first: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Train, optimise, evaluate: the figures are those of the folds' models, which the artifact carries."""
    made = Container(tmp_path / "optimise")
    shutil.copytree(first.container.base / "input/data", made.base / "processing/input")
    made.processing.candidate.parent.mkdir()
    shutil.copyfile(first.archive, made.processing.candidate)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(made.base))
    said = "-".join(map(str, seal.seal_of(first.container.model_dir)))
    assert main(["optimise", "--trained", said, "--fp32-only"]) == 0
    optimised = Run(first.container, made.processing.optimised)
    status, container = evaluated(tmp_path / "evaluate", optimised, monkeypatch)
    assert status == 0
    document = document_of(container.processing)
    patients = {one["Patient"] for one in entries(first)}
    assert (document["Cases"]["Patients"], document["Cases"]["Slices"]) == (len(patients), len(entries(first)))
    folds = document["OutOfFold"]["Folds"]
    assert [one["Fold"] for one in folds] == [1, 2, 3]
    assert sum(one["Patients"]["test"] for one in folds) == len(patients) == 18
    for one in folds:
        assert sum(one["Patients"].values()) == len(patients), "in each fold they are trained, validated or tested on"
    matrix = np.zeros((3, 3), int)
    for one in entries(first):
        matrix[LABELS.index(one["Label"]), predicted(first)[one["Line"]]] += 1
    assert document["Candidate"]["ConfusionMatrix"] == matrix.tolist()
    assert document["OutOfFold"]["Whole"]["BalancedAccuracy"] >= document["Candidate"]["BalancedAccuracy"]["Low"]
    read = gate.parse(json.dumps(document).encode(), document["SnapshotDigest"])
    assert read.out_of_fold == OutOfFold(folds=3, whole=document["OutOfFold"]["Whole"]["BalancedAccuracy"])
    page = (container.processing.evaluation / "report.html").read_text()
    assert "not of the model that is promoted" in page
    assert f"Measured out of fold on {len(entries(first))} slices of {len(patients)} patients" in page


def test_a_champion_by_folds_is_compared_out_of_fold_on_the_patients_of_both_and_as_it_is_on_new_ones(
    first: Run, second: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, container = evaluated(tmp_path, second, monkeypatch, champion=first, reference=first)
    assert status == 0
    document = document_of(container.processing)
    for role in ("Champion", "Reference"):
        found = document["Attempt"][role]
        assert (found["Patients"], found["OutOfFold"], found["Seen"]) == (18, 12, 0)
        assert found["TrainingKnown"]
        assert found["Bound"] is not None
    lines = {one["ContentSHA256"]: one["Line"] for one in entries(first)}
    both = [one for one in entries(second) if one["ContentSHA256"] in lines]
    assert len(both) == 48
    wrong = sum(predicted(first)[lines[one["ContentSHA256"]]] != LABELS.index(one["Label"]) for one in both)
    matrix = np.array(document["Champion"]["ConfusionMatrix"])
    assert matrix.sum() == 72
    assert wrong <= matrix.sum() - np.trace(matrix) <= wrong + 24
    page = (container.processing.evaluation / "report.html").read_text()
    assert "12 patients" in page


def test_a_model_is_no_better_than_itself_by_folds(first: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the model of all it reads nearly everything right that it was trained on; that must not count."""
    status, container = evaluated(tmp_path, first, monkeypatch, champion=first)
    assert status == 0
    document = document_of(container.processing)
    assert document["Attempt"]["Champion"]["Difference"] == 0
    assert document["Champion"] == document["Candidate"]


def test_a_champion_with_a_test_part_is_compared_on_the_patients_that_it_had_not_seen(
    second: Run, by_test_part: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, container = evaluated(tmp_path, second, monkeypatch, champion=by_test_part)
    assert status == 0
    found = document_of(container.processing)["Attempt"]["Champion"]
    assert (found["Patients"], found["Seen"], "OutOfFold" in found) == (6, 12, False)
    assert found["Bound"] is None, "two patients of each class"


def test_a_champion_by_folds_has_seen_all_its_patients_where_there_is_a_test_part_now(
    first: Run, by_test_part: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, container = evaluated(tmp_path, by_test_part, monkeypatch, champion=first)
    assert status == 0
    document = document_of(container.processing)
    found = document["Attempt"]["Champion"]
    assert (found["Patients"], found["Seen"], found["Bound"]) == (3, 3, None)
    assert "OutOfFold" not in found
    assert "OutOfFold" not in document


def test_what_was_erased_from_the_champions_snapshot_is_compared_no_more(
    first: Run, second: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads(first.snapshot.read_text())
    gone = sorted({one["Patient"] for one in document["Slices"]} & {one["Patient"] for one in entries(second)})[:2]
    document["Slices"] = [one for one in document["Slices"] if one["Patient"] not in gone]
    document["Erased"] = {"Slices": 8, "At": "2026-11-29T00:00:00.000Z"}
    base = tmp_path / "erased"
    base.mkdir()
    shutil.copytree(first.container.base, base / "opt-ml")
    erased = Run(Container(base / "opt-ml"), first.archive)
    erased.snapshot.write_text(json.dumps(document))
    status, container = evaluated(tmp_path / "run", second, monkeypatch, champion=erased)
    assert status == 0
    assert document_of(container.processing)["Attempt"]["Champion"]["OutOfFold"] == 10


def test_another_runs_snapshot_in_the_champions_place_fails_the_job(
    first: Run, second: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped = Run(second.container, first.archive)
    status, container = evaluated(tmp_path, second, monkeypatch, champion=swapped)
    assert status == 1
    assert "input named champion-snapshot does not fit the model's out_of_fold.json" in container.message.read_text()


def test_a_candidate_without_predictions_or_with_those_of_another_run_fails_the_job(
    first: Run, second: Run, by_test_part: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (other, said) in enumerate(
        [(by_test_part, "The candidate has no out_of_fold.json"), (second, "not of this run's slices and folds")]
    ):
        status, container = evaluated(tmp_path / str(number), Run(first.container, other.archive), monkeypatch)
        assert status == 1
        assert said in container.message.read_text()
        assert not container.processing.evaluation.exists()


def test_predictions_of_other_classes_fail_the_job(first: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = out_of_fold.find(first.archive)
    assert found
    renamed = dataclasses.replace(found, labels=("flu", *found.labels[1:]))
    monkeypatch.setattr("model_code.evaluation.folds.find", lambda _: renamed)
    status, container = evaluated(tmp_path, first, monkeypatch)
    assert status == 1
    assert "out_of_fold.json has the classes flu, " in container.message.read_text()


def test_a_model_of_all_patients_whose_training_went_wrong_is_seen_in_the_document(
    first: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folds' predictions are good, and the weights of the artifact are an untrained network's."""
    poor = ran(tmp_path / "poor", in_folds(FOLDS), epochs=1, learning_rate=1e-6)
    shutil.copyfile(first.container.model_dir / out_of_fold.FILE, poor.container.model_dir / out_of_fold.FILE)
    pack(poor.container.model_dir, poor.archive)
    status, container = evaluated(tmp_path / "run", poor, monkeypatch)
    assert status == 0
    document = document_of(container.processing)
    assert document["OutOfFold"]["Whole"]["BalancedAccuracy"] < document["Candidate"]["BalancedAccuracy"]["Low"]


def test_without_any_fold_there_is_nothing_to_measure(
    first: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    slices = [dataclasses.replace(one, fold=0, split="train") for one in in_folds(FOLDS)]
    write_snapshot(tmp_path / "processing/input", slices, LABELS)
    made = Container(tmp_path)
    made.processing.candidate.parent.mkdir()
    shutil.copyfile(first.archive, made.processing.candidate)
    assert main(["evaluate", "--candidate-sha256", sha256_of(made.processing.candidate)]) == 1
    assert "no test slices" in made.message.read_text()
