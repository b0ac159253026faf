"""A slice in another form is found across parts, two different patients are not, and the work is bounded."""

from __future__ import annotations

import numpy as np
import pytest

from assurance.data_gate.changed import CHANGES
from assurance.data_gate.pictures import Shown, copies_found, phantoms
from model_code.audit import lookalikes as module
from model_code.audit.likeness import SIDE, Likeness, body_of, likeness
from model_code.audit.lookalikes import TURNS, lookalikes

AIR = np.float32(-1000)


@pytest.fixture(scope="module")
def shown() -> list[Shown]:
    return phantoms(patients=9, slices=1, size=128, seed=0)


@pytest.fixture(scope="module")
def before(shown: list[Shown]) -> list[Likeness]:
    found = [likeness(one.hounsfield) for one in shown]
    assert None not in found
    return [one for one in found if one]


def looked(likenesses: list[Likeness], splits: list[str], patients: list[str]) -> module.Lookalikes:
    return lookalikes(likenesses, [str(number) for number in range(len(splits))], splits, patients)


@pytest.mark.parametrize("change", ["upside down", "turned by 90", "cropped by 5 %", "lung window"])
def test_a_slice_in_another_form_is_found_and_no_other_patient_accused(
    change: str, shown: list[Shown], before: list[Likeness]
) -> None:
    assert copies_found(shown, before, CHANGES[change]) == (1.0, 0)


def test_nothing_is_compared_within_a_part(before: list[Likeness]) -> None:
    found = looked([before[0]] * 4, ["train"] * 4, list("abcd"))
    assert (found.compared, found.copies, found.same_patient) == (0, (), ())


def test_the_same_pixels_and_a_slice_without_a_body_are_no_pair(before: list[Likeness]) -> None:
    assert lookalikes([before[0], before[0]], ["x", "x"], ["train", "test"], ["a", "b"]).copies == ()
    assert lookalikes([None, before[0]], ["x", "y"], ["train", "test"], ["a", "b"]).compared == 0
    assert lookalikes([None], ["x"], ["train"], ["a"]).compared == 0


def test_a_pair_is_named_once_by_its_index_the_most_similar_first(before: list[Likeness]) -> None:
    found = looked([before[1], before[0], before[0]], ["train", "train", "test"], ["a", "b", "c"])
    assert [(one.first, one.second) for one in found.copies][:1] == [(1, 2)]
    assert found.copies[0].similarity > 0.99


@pytest.mark.parametrize(("slices", "each"), [(20, 40), (60_000, 5)])
def test_as_many_are_compared_closely_as_the_bound_allows(
    slices: int, each: int, monkeypatch: pytest.MonkeyPatch, before: list[Likeness]
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(module, "_spectra", lambda _pictures: np.zeros((0,)))
    monkeypatch.setattr(module._Bodies, "_nearest", lambda *arguments: asked.append(arguments[-1]) or [])
    bodies = module._Bodies(before)
    list(bodies.candidates(["train"] * slices + ["test"] * slices))
    assert set(asked) == {each}


def test_turning_the_index_is_turning_the_picture(before: list[Likeness]) -> None:
    pictures = np.stack([one.picture for one in before])
    for mirrored, upside_down, swapped in TURNS:
        turned = pictures[:, :, :, ::-1] if mirrored else pictures
        turned = turned[:, :, ::-1] if upside_down else turned
        turned = turned.swapaxes(2, 3) if swapped else turned
        expected = module._spectra(np.ascontiguousarray(turned))
        found = module._turned(module._spectra(pictures), (mirrored, upside_down, swapped))
        assert np.allclose(found, expected, atol=1e-4)
        back = module._turned(found, module._inverse((mirrored, upside_down, swapped)))
        assert np.allclose(back, module._spectra(pictures), atol=1e-4)


def test_strangers_that_are_all_alike_raise_the_threshold() -> None:
    rng = np.random.default_rng(0)
    alike = (0.5 + 0.2 * rng.standard_normal(500)).astype(np.float32)
    assert module._threshold(0.65, alike) == pytest.approx(0.5 + 0.2 * 4.2, abs=0.15)
    assert module._threshold(0.65, alike[:10]) == 0.65
    assert module._threshold(0.65, alike - 0.5) == 0.65
    assert module._threshold(0.65, np.full(100, -np.inf, np.float32)) == 0.65


def disc(table: bool = False, around: float = AIR) -> np.ndarray:
    rows, columns = np.mgrid[:128, :128]
    made = np.full((128, 128), around, np.float32)
    distance = ((rows - 60) / 40) ** 2 + ((columns - 64) / 55) ** 2
    made[distance < 1] = 40
    made[(distance < 0.7) & (abs(columns - 64) > 8)] = -800  # lungs
    if table:
        made[110:113] = 100
    return made


def test_a_table_and_what_is_around_the_body_change_nothing() -> None:
    plain, on_table, in_water = (body_of(one) for one in (disc(), disc(table=True), disc(around=0.0)))
    assert plain is not None
    assert on_table is not None
    assert in_water is not None
    assert float(abs(plain - on_table).mean()) == 0
    assert float(abs(plain - in_water).mean()) < 0.01
    assert plain[30, 20] == 1, "a lung is a part of the body"


@pytest.mark.parametrize("hounsfield", [np.full((64, 64), AIR), np.full((64, 64), np.float32(40))], ids=["air", "full"])
def test_a_picture_of_one_value_shows_no_body(hounsfield: np.ndarray) -> None:
    assert likeness(hounsfield) is None


def test_a_likeness_is_small() -> None:
    found = likeness(disc())
    assert found
    assert found.picture.shape == (2, SIDE, SIDE)
    assert found.picture.nbytes == 2 * SIDE * SIDE
