"""Typicality: what lies outside of the training's principal components is abstained on, and little else is."""

from __future__ import annotations

import hashlib
import io
import math

import numpy as np
import pytest
import torch

from model_code import typicality
from model_code.errors import ArtifactError
from model_code.typicality import (
    FEWEST_PATIENTS,
    Record,
    Typicality,
    learn,
    parse,
    read,
    threshold_of,
    tolerance_factor,
)

FEATURES, RANK = 64, 8


def made(slices: int, seed: int, noise: float = 0.1) -> torch.Tensor:
    """Return features of ``slices`` slices in a space of RANK dimensions, with noise outside of it."""
    basis = torch.randn(RANK, FEATURES, generator=torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(slices, RANK, generator=draw) @ basis + noise * torch.randn(slices, FEATURES, generator=draw)


def learnt(patients: int = 24) -> Typicality:
    found = learn(made(72, 1), made(patients, 2), [f"P{number}" for number in range(patients)])
    assert found is not None
    return found


def test_slices_like_the_trainings_are_answered_and_others_abstained_on() -> None:
    model = learnt()
    assert np.mean([model.abstains(float(score)) for score in model.scores(made(500, 3))]) < 0.05
    foreign = torch.randn(500, FEATURES, generator=torch.Generator().manual_seed(4)) * 3
    assert all(model.abstains(float(score)) for score in model.scores(foreign))


def test_a_score_that_is_no_number_is_abstained_on() -> None:
    assert learnt().abstains(math.nan)


def test_a_score_does_not_depend_on_the_other_slices_of_a_batch() -> None:
    model, features = learnt(), made(5, 3)
    assert model.scores(features).tolist() == [float(model.scores(one[None])) for one in features]


def test_with_fewer_patients_than_say_something_a_model_abstains_on_nothing() -> None:
    few = ["a", "b", "c", "d", "e"] * 10
    assert len(set(few)) == FEWEST_PATIENTS - 1
    assert learn(made(72, 1), made(50, 2), few) is None


def test_fewer_training_slices_than_components_are_no_error() -> None:
    found = learn(made(5, 1), made(6, 2), list("abcdef"))
    assert found is not None
    assert found.space.shape == (1 + 2, FEATURES)


@pytest.mark.parametrize(("patients", "exact"), [(6, 3.006), (12, 2.448), (24, 2.156), (60, 1.960), (200, 1.814)])
def test_the_factor_is_close_to_that_of_the_noncentral_t(patients: int, exact: float) -> None:
    """The exact one-sided factors for 95 % with 90 % confidence; Natrella's approximation lies a little below."""
    assert tolerance_factor(patients) == pytest.approx(exact, rel=0.07)


@pytest.mark.parametrize(("patients", "slices"), [(6, 4), (12, 1), (24, 1), (24, 10), (60, 4)])
def test_most_thresholds_leave_95_percent_of_new_slices_answered(patients: int, slices: int) -> None:
    """By simulation of log-normal scores with half of the variance the patient's."""
    rng = np.random.default_rng(0)
    names = [str(number) for number in range(patients) for _ in range(slices)]
    passed = []
    for _ in range(400):
        logs = np.repeat(rng.normal(0, 0.5**0.5, patients), slices) + rng.normal(0, 0.5**0.5, patients * slices)
        new = math.log(threshold_of(np.exp(0.2 * logs), names)) / 0.2
        passed.append(0.5 * (1 + math.erf(new / 2**0.5)))
    assert np.mean(np.array(passed) >= 0.95) >= 0.85
    assert np.mean(passed) >= 0.95


def test_what_is_written_is_what_is_read_without_unpickling() -> None:
    model = learnt()
    assert hashlib.sha256(model.file()).hexdigest() == model.record.sha256
    again = read(model.file(), parse(model.record.as_dict()))
    assert (again.space == model.space).all()
    assert again.record == model.record


def bytes_of(space: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, space, allow_pickle=True)  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        bytes_of(np.zeros((3, 4))),
        bytes_of(np.zeros((1, 4), np.float32)),
        bytes_of(np.zeros(4, np.float32)),
        bytes_of(np.full((3, 4), np.nan, np.float32)),
        bytes_of(np.array([[object()]])),
        bytes_of(np.zeros((3, 4), np.float32))[:-4],
        bytes_of(np.zeros((3, 4), np.float32)).replace(b"(3, 4)", b"(30000000000000, 4)"),
        bytes_of(np.zeros((3, 4), np.float32)).replace(b"(3, 4)", b"(((((("),
        bytes_of(np.zeros((3, 0), np.float32)),
        b"PK\x03\x04" + bytes(100),
    ],
)
def test_any_other_file_is_an_error_of_the_artifact(content: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"typicality\.npy cannot be read"):
        read(content, Record(sha256="", threshold=1.0, patients=6, slices=6))


@pytest.mark.parametrize(
    "changes", [{"version": 2}, {"threshold": 0}, {"threshold": "nan"}, {"threshold": math.inf}, {"patients": None}]
)
def test_a_record_that_this_image_cannot_read_is_an_error(changes: dict[str, object]) -> None:
    record = Record(sha256="ab", threshold=0.5, patients=24, slices=24).as_dict()
    assert parse(record).threshold == 0.5
    with pytest.raises((ValueError, TypeError)):
        parse({**record, **changes})


def test_a_threshold_is_a_number_though_all_patients_have_the_same_score() -> None:
    assert threshold_of(np.full(6, 0.5), list("abcdef")) == pytest.approx(0.5)
    assert threshold_of(np.zeros(6), list("abcdef")) == typicality.SMALLEST
