"""Training by folds: every slice gets a prediction by a model that never saw its patient, and the model is of all."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from model_code import calibration, out_of_fold
from model_code.artifacts.artifact import describe, load_typicality
from model_code.container import Container
from model_code.errors import ArtifactError, SnapshotError, TrainingError
from model_code.out_of_fold import OutOfFold
from model_code.snapshot import Case, Snapshot, Split, SplitBy, digest_of
from model_code.training import folds, train
from model_code.training.dataset import Samples
from model_code.training.fit import Best
from model_code.training.folds import Folded
from tests.model_code.conftest import LABELS, SIZE, opt_ml
from tests.model_code.folds import TINY, in_folds, register_tiny
from tests.snapshots import Labelled

FOLDS = 3
QUICK = {"epochs": 3, "image_size": SIZE, "network": TINY, "learning_rate": 0.03, "batch_size": 8}
Fit = Callable[..., tuple[Best, list[dict[str, float]]]]


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)


def trained(base: Path, slices: list[Labelled] | None = None, **changes: object) -> Container:
    container = opt_ml(base, slices or in_folds(FOLDS), **(QUICK | changes))
    train.train(container)
    return container


def written(container: Container) -> OutOfFold:
    return out_of_fold.parse((container.model_dir / out_of_fold.FILE).read_bytes())


def entries(container: Container) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(container.snapshot_channel.read_text())["Slices"]
    return found


def test_every_slice_is_predicted_once_in_its_fold_and_read_right_where_the_classes_are_plain(tmp_path: Path) -> None:
    container = trained(tmp_path, epochs=25)
    found = written(container)
    assert {line: row.fold for line, row in found.rows.items()} == {
        one["Line"]: one["Fold"] for one in entries(container)
    }
    right = [
        found.rows[one["Line"]].logits.index(max(found.rows[one["Line"]].logits)) == LABELS.index(one["Label"])
        for one in entries(container)
    ]
    assert sum(right) / len(right) > 0.9
    assert found.folds.keys() == {1, 2, 3}
    assert found.folds[1].patients == {"train": 9, "validation": 3, "test": 6}
    document = json.loads((container.model_dir / "metadata.json").read_text())
    assert document["training"]["patients"] == {"train": 12, "validation": 6}
    assert document["training"]["folds"]["predictions"] == "out_of_fold.json"


def test_no_model_of_a_fold_learns_from_its_patients_or_chooses_its_epoch_by_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each slice is recognised by its pixels."""
    seen: list[tuple[set[bytes], set[bytes]]] = []

    def recording(training: Samples, validation: Samples, *rest: Any) -> Any:
        seen.append((set(map(_pixels, training.images)), set(map(_pixels, validation.images))))
        return fit(training, validation, *rest)

    fit: Fit = folds.fit
    monkeypatch.setattr(folds, "fit", recording)
    monkeypatch.setattr(train, "fit", recording)
    loaded: list[tuple[list[Case], Samples]] = []
    original = train._load

    def loading(*arguments: Any) -> Any:
        training, validation, *more = original(*arguments)
        loaded.extend([(arguments[4], training), (arguments[5], validation)])
        return training, validation, *more

    monkeypatch.setattr(train, "_load", loading)
    trained(tmp_path, epochs=1)
    fold_of = {_pixels(image): case.fold for cases, samples in loaded for case, image in zip(cases, samples.images)}  # noqa: B905
    parts = [{_pixels(image) for image in samples.images} for _, samples in loaded]
    assert len(fold_of) == 72, "no two slices are alike"
    assert len(seen) == FOLDS + 1
    for fold, (training, validation) in enumerate(seen[:FOLDS], start=1):
        assert training == {one for one in parts[0] if fold_of[one] != fold}
        assert validation == {one for one in parts[1] if fold_of[one] != fold}
    assert seen[FOLDS] == tuple(parts), "the last one is of all patients"


def _pixels(image: torch.Tensor) -> bytes:
    return image.numpy().tobytes()


def test_an_interrupted_training_continues_in_its_fold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = trained(tmp_path / "whole")
    container = opt_ml(tmp_path / "cut", in_folds(FOLDS), **QUICK)

    class Interrupted(Exception):
        pass

    def cut(samples: Samples, validation: Samples, *rest: Any) -> Any:
        if rest[3]._run["fold"] == 2:
            raise Interrupted
        return fit(samples, validation, *rest)

    fit: Fit = folds.fit
    monkeypatch.setattr(folds, "fit", cut)
    with pytest.raises(Interrupted):
        train.train(container)
    monkeypatch.setattr(folds, "fit", fit)
    caplog.clear()
    with caplog.at_level(logging.INFO, "model_code"):
        train.train(container)
    assert "a checkpoint was found: training continues after epoch" in caplog.text
    assert caplog.text.count("fold=") == FOLDS
    assert written(container) == written(whole)
    assert describe(container.model_dir).weights_sha256 == describe(whole.model_dir).weights_sha256


def test_a_checkpoint_of_one_fold_is_none_of_another(tmp_path: Path) -> None:
    container = trained(tmp_path, epochs=1)
    names = sorted(path.relative_to(container.checkpoints).as_posix() for path in container.checkpoints.rglob("*.pt"))
    assert names == ["checkpoint.pt", *(f"fold-{number}/checkpoint.pt" for number in (1, 2, 3))]
    (container.checkpoints / names[1]).replace(container.checkpoints / names[2])
    with pytest.raises(TrainingError, match="fold is 1 there and 2 here"):
        train.train(container)


def test_the_predictions_name_no_patient_and_no_object(tmp_path: Path) -> None:
    container = trained(tmp_path, epochs=1)
    text = (container.model_dir / out_of_fold.FILE).read_text()
    named = {one[name] for one in entries(container) for name in ("Slice", "Patient", "StudyInstanceUID", "VersionId")}
    assert not any(name in text for name in named | {one["ContentSHA256"] for one in entries(container)})


def folded(patients: int = 30, slices: int = 4, sharpness: float = 3.0, seed: int = 3) -> Folded:
    """Say what three folds' models, that are surer than they should be, say of their slices."""
    draw = torch.Generator().manual_seed(seed)
    cases = [
        Case(
            line=patient * slices + number + 1,
            name="",
            content_sha256="",
            label=LABELS[patient % 3],
            split=Split.TRAIN,
            patient=f"p{patient}",
            fold=patient % FOLDS + 1,
        )
        for patient in range(patients)
        for number in range(slices)
    ]
    targets = torch.tensor([LABELS.index(case.label) for case in cases])
    noise = torch.randn(len(cases), 3, generator=draw, dtype=torch.double)
    logits = sharpness * 1.5 * (noise + 1.5 * torch.nn.functional.one_hot(targets, 3))
    scores = torch.exp(0.2 * torch.randn(len(cases), generator=draw, dtype=torch.double))
    return Folded(tuple(cases), targets, logits, torch.zeros_like(logits), scores, {1: 4, 2: 5, 3: 6})


def snapshot_of(cases: Sequence[Case]) -> Snapshot:
    return Snapshot(digest="d", labels=LABELS, seed=0, split_by=SplitBy.PATIENT, cases=tuple(cases), folds=FOLDS)


def test_the_models_temperature_is_of_all_slices_out_of_fold() -> None:
    found = folded()
    calibrated = found.calibrated((0.0, 0.0, 0.0))
    assert calibrated.temperature == pytest.approx(calibration.fit_temperature(found.logits, found.targets))
    assert 2 < calibrated.temperature < 4.5
    assert calibrated.reason == "The temperature was fitted on 120 slices of 30 patients, out of fold."
    few = folded(patients=9).calibrated((0.0, 0.0, 0.0))
    assert (few.temperature, few.reason.partition(",")[0]) == (1.0, "No temperature was fitted")


def test_a_folds_temperature_and_threshold_are_of_the_other_folds_alone() -> None:
    before = folded()
    changed = dataclasses.replace(before, logits=before.logits.clone(), scores=before.scores.clone())  # type: ignore[union-attr]
    mine = ~before.of_others(1)
    changed.logits[mine] *= 20
    changed.scores[mine] *= 50  # type: ignore[index]
    was, now = (one.document(snapshot_of(one.cases)).folds for one in (before, changed))
    assert (now[1].temperature, now[1].threshold) == (was[1].temperature, was[1].threshold)
    assert now[2].temperature > was[2].temperature
    assert now[2].threshold > was[2].threshold  # type: ignore[operator]


def test_what_each_network_lacks_of_the_classes_frequencies_is_in_its_logits() -> None:
    found = folded()
    prior = torch.tensor([0.5, -0.2, -0.4], dtype=torch.double).expand_as(found.logits)
    document = dataclasses.replace(found, log_priors=prior).document(snapshot_of(found.cases))
    for case, plain in zip(found.cases, found.logits, strict=True):
        fold = document.folds[case.fold]
        given = torch.tensor(document.rows[case.line].logits, dtype=torch.double) / fold.temperature
        expected = torch.softmax(plain / fold.temperature + prior[0], 0)
        assert torch.softmax(given, 0).tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_the_model_abstains_by_what_is_usual_out_of_fold_in_units_of_its_own_training_part(tmp_path: Path) -> None:
    container = trained(tmp_path)
    about = describe(container.model_dir)
    typical = load_typicality(container.model_dir, about)
    assert typical is not None
    assert (typical.record.patients, typical.record.slices) == (18, 72)
    found = folded()
    training = torch.randn(200, 40, generator=torch.Generator().manual_seed(0))
    one, ten = (found.typicality(scale * training) for scale in (1, 10))
    assert one is not None
    assert ten is not None
    assert ten.record.threshold == pytest.approx(10 * one.record.threshold, rel=1e-4)
    assert folded(patients=5).typicality(training) is None
    assert dataclasses.replace(found, scores=None).typicality(training) is None
    threshold = found.document(snapshot_of(found.cases)).folds[1].threshold
    assert threshold is not None
    assert float((found.scores <= threshold).double().mean()) > 0.94  # type: ignore[operator]


def test_a_snapshot_whose_folds_contradict_it_is_refused(tmp_path: Path) -> None:
    for number, (change, said) in enumerate(
        [
            ({"fold": 4}, "Fold is 4, not a whole number from 1 to 3"),
            ({"fold": 0}, "Fold is 0, not a whole number from 1 to 3"),
            ({"split": "test"}, "Split is test, although"),
        ]
    ):
        slices = in_folds(FOLDS)
        slices[5] = dataclasses.replace(slices[5], **change)  # type: ignore[arg-type]
        container = opt_ml(tmp_path / str(number), slices, **QUICK)
        document = json.loads(container.snapshot_channel.read_text())
        _rewrite(container, document | {"Folds": FOLDS})
        with pytest.raises(SnapshotError, match=said):
            train.train(container)
    container = opt_ml(tmp_path / "last", in_folds(FOLDS), **QUICK)
    _rewrite(container, json.loads(container.snapshot_channel.read_text()) | {"Folds": 11})
    with pytest.raises(SnapshotError, match="Folds is 11, not a whole number from 3 to 10"):
        train.train(container)


def _rewrite(container: Container, document: dict[str, Any]) -> None:
    container.snapshot_channel.write_text(json.dumps(document | {"Digest": digest_of(document)}))


def test_a_class_that_only_one_fold_has_ends_the_job_before_it_trains(tmp_path: Path) -> None:
    slices = [one for one in in_folds(FOLDS) if one.label != "cap" or one.fold == 2]
    with pytest.raises(TrainingError, match="Without fold 2 no slice to train on is labelled cap"):
        trained(tmp_path, slices)


HUGE = 10**400
DAMAGES = {
    "a line beyond all numbers": lambda document: document["Slices"][0].update(Line=float("inf")),
    "a line that is a text": lambda document: document["Slices"][0].update(Line="1"),
    "an endless epoch": lambda document: document["Folds"][0].update(Epoch=float("inf")),
    "a count beyond all numbers": lambda document: document["Folds"][0].update(Patients={"train": float("inf")}),
    "a temperature that makes logits infinite": lambda document: document["Folds"][0].update(Temperature=1e-320),
    "a temperature beyond all numbers": lambda document: document["Folds"][0].update(Temperature=HUGE),
    "a threshold that is no number": lambda document: document["Folds"][0].update(Threshold=float("nan")),
    "a score beyond all numbers": lambda document: document["Slices"][0].update(Score=HUGE),
    "a logit beyond all numbers": lambda document: document["Slices"][0]["Logits"].__setitem__(0, HUGE),
    "a fold twice": lambda document: document["Folds"].append(document["Folds"][0] | {"Temperature": 5.0}),
    "a class twice": lambda document: document["Labels"].__setitem__(0, document["Labels"][1]),
    "of no snapshot": lambda document: document.pop("SnapshotDigest"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_predictions_with_what_no_training_writes_are_refused(tmp_path: Path, damage: str) -> None:
    document = json.loads(folded(patients=6).document(snapshot_of(folded(patients=6).cases)).write())
    DAMAGES[damage](document)
    with pytest.raises(ArtifactError, match=r"out_of_fold.json cannot be read"):
        out_of_fold.parse(json.dumps(document).encode())


@pytest.mark.parametrize("damage", ["no JSON", "schema", "logits", "fold", "twice", "temperature"])
def test_malformed_predictions_are_refused(tmp_path: Path, damage: str) -> None:
    found = folded(patients=6).document(snapshot_of(folded(patients=6).cases))
    document = json.loads(found.write())
    assert out_of_fold.parse(found.write().encode()) == found
    if damage == "schema":
        document["Schema"] = "out-of-fold/2"
    elif damage == "logits":
        document["Slices"][0]["Logits"].pop()
    elif damage == "fold":
        document["Slices"][0]["Fold"] = 9
    elif damage == "twice":
        document["Slices"][1]["Line"] = document["Slices"][0]["Line"]
    elif damage == "temperature":
        document["Folds"][0]["Temperature"] = 0
    body = b"{" if damage == "no JSON" else json.dumps(document).encode()
    with pytest.raises(ArtifactError, match=r"out_of_fold.json cannot be read"):
        out_of_fold.parse(body)
