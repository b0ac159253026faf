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
    CROSS,
    FEWEST_PATIENTS,
    Record,
    Typicality,
    estimate_of,
    learn,
    most_above,
    own_scores,
    parse,
    read,
    space_of,
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
    found = learn(made(72, 1), made(patients, 2), named("T", 72), named("V", patients))
    assert found is not None
    return found


def named(prefix: str, patients: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(patients)]


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
    assert learn(made(72, 1), made(50, 2), named("T", 72), few) is None


def test_fewer_training_slices_than_components_are_no_error() -> None:
    found = learn(made(5, 1), made(6, 2), list("ABCDE"), list("abcdef"))
    assert found is not None
    assert found.space.shape == (2 + 2, FEATURES)


def test_a_feature_that_never_varied_and_one_that_varied_much_are_both_measured() -> None:
    """A feature of a large deviation does not drown the others; one of no deviation does not outweigh them."""
    training, new = made(72, 1), made(24, 2)
    for some in (training, new):
        some[:, 0] = 1000 * some[:, 0]
        some[:, 1] = 0
    found = learn(training, new, named("T", 72), named("V", 24))
    assert found is not None
    assert (found.space[1] > 0).all()
    assert np.mean([found.abstains(float(score)) for score in found.scores(new)]) < 0.1


def test_features_that_are_the_same_on_every_slice_are_no_error() -> None:
    found = learn(torch.ones(12, FEATURES), torch.ones(6, FEATURES), named("T", 12), list("abcdef"))
    assert found is not None
    assert found.scores(torch.ones(1, FEATURES)).tolist() == [0.0]
    assert found.abstains(float(found.scores(torch.full((1, FEATURES), 2.0))[0]))


def test_training_slices_are_scored_by_the_components_of_other_patients() -> None:
    training = made(40, 1)
    patients = named("T", 20) * 2
    number = np.unique(patients, return_inverse=True)[1]
    scores = own_scores(training, patients)
    mine = np.isin(number % CROSS, number[0] % CROSS)
    assert mine[0]
    assert mine[20], "the other slice of the same patient"
    assert scores[mine].tolist() == space_of(training[~mine]).scores(training[mine]).tolist()
    assert scores.mean() > space_of(training).scores(training).mean().item()


def test_one_patient_alone_is_scored_by_its_own_components() -> None:
    training = made(6, 1)
    assert own_scores(training, ["T"] * 6).tolist() == space_of(training).scores(training).tolist()


def test_what_a_network_has_learnt_by_heart_does_not_lower_the_threshold() -> None:
    """Training slices that lie much closer together than new ones: at least the validation part's estimate holds."""
    close, new = made(120, 1, noise=0.02), made(24, 2)
    found = learn(close, new, named("T", 120), named("V", 24))
    assert found is not None
    assert found.record.threshold >= estimate_of(found.scores(new).numpy(), named("V", 24))
    assert np.mean([found.abstains(float(score)) for score in found.scores(made(500, 3))]) < 0.12


def test_the_threshold_comes_from_all_patients_and_the_record_says_of_how_many() -> None:
    assert (learnt().record.patients, learnt().record.slices) == (72 + 24, 72 + 24)


@pytest.mark.parametrize(("patients", "exact"), [(6, 3.006), (12, 2.448), (24, 2.156), (60, 1.960), (200, 1.814)])
def test_the_factor_is_close_to_that_of_the_noncentral_t(patients: int, exact: float) -> None:
    """The exact one-sided factors for 95 % with 90 % confidence; Natrella's approximation lies a little below."""
    assert tolerance_factor(patients) == pytest.approx(exact, rel=0.07)


@pytest.mark.parametrize(("scores", "above"), [(0, -1), (44, -1), (45, 0), (76, 0), (77, 1), (105, 2), (100_000, 4911)])
def test_how_many_may_lie_above_a_distribution_free_bound(scores: int, above: int) -> None:
    """The sizes 45, 77 and 105 are those of tables for 95 % with 90 % confidence."""
    assert most_above(scores) == above


@pytest.mark.parametrize("patients", [60, 200])
def test_scores_of_another_distribution_are_covered_where_the_patients_are_enough(patients: int) -> None:
    """Exponential scores have a longer tail than the log-normal ones of the same spread."""
    rng = np.random.default_rng(0)
    found = [threshold_of(1 + rng.exponential(1, patients), named("V", patients)) for _ in range(400)]
    passed = 1 - np.exp(-(np.array(found) - 1))
    assert np.mean(passed >= 0.95) >= 0.85


@pytest.mark.parametrize(("patients", "slices"), [(6, 4), (12, 1), (24, 1), (24, 10), (60, 1), (60, 4), (200, 4)])
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


def test_an_artifact_from_before_the_scale_gives_the_scores_that_it_gave() -> None:
    """Version 1: the mean, and below it the components."""
    mean, components = made(1, 1).numpy(), np.linalg.qr(made(FEATURES, 2).numpy())[0][:RANK]
    space = np.concatenate([mean, components]).astype(np.float32)
    document = {"version": 1, "sha256": "", "threshold": 0.5, "share": 0.95, "confidence": 0.9}
    record = parse({**document, "patients": 24, "slices": 24})
    old = read(bytes_of(space), record)
    new = made(5, 3)
    apart = new.double().numpy() - mean
    expected = np.linalg.norm(apart - apart @ components.T @ components, axis=1)
    assert old.scores(new).numpy() == pytest.approx(expected, abs=1e-4)
    assert record.as_dict()["version"] == 1


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
        bytes_of(np.zeros((2, 4), np.float32)),
        bytes_of(np.zeros((3, 4), np.float32)),
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
    "changes", [{"version": 3}, {"threshold": 0}, {"threshold": "nan"}, {"threshold": math.inf}, {"patients": None}]
)
def test_a_record_that_this_image_cannot_read_is_an_error(changes: dict[str, object]) -> None:
    record = Record(sha256="ab", threshold=0.5, patients=24, slices=24).as_dict()
    assert parse(record).threshold == 0.5
    with pytest.raises((ValueError, TypeError)):
        parse({**record, **changes})


def test_a_threshold_is_a_number_though_all_patients_have_the_same_score() -> None:
    assert threshold_of(np.full(6, 0.5), list("abcdef")) == pytest.approx(0.5)
    assert threshold_of(np.zeros(6), list("abcdef")) == typicality.SMALLEST
