"""A small model, trained on phantoms by the container's command, answers other phantoms and abstains on the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assurance.typicality.__main__ import Size, counted, foreign, trained, unseen
from assurance.typicality.foreign import KINDS, SIDE
from model_code.inference import Model
from model_code.reading.ct_slice import CTSlice, read_slice
from model_code.reading.dicom import read_instance

SEED = 0
# A quarter of the work that the command does by default; of 40 pictures one may be missed.
SMALL = Size(patients=90, slices=2, pictures=40, image_size=64, epochs=6)
MOST_FALSE, LEAST_FOUND = 0.06, 0.97

pytestmark = [pytest.mark.check, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return trained(SMALL, SEED, tmp_path_factory.mktemp("typicality"))


def test_few_phantoms_of_new_patients_are_abstained_on(model: Model) -> None:
    assert counted(model, unseen(SMALL, SEED)).share <= MOST_FALSE


@pytest.mark.parametrize("kind", KINDS)
def test_almost_every_foreign_picture_is_abstained_on(model: Model, kind: str) -> None:
    assert counted(model, foreign(KINDS[kind], SMALL, SEED)).share >= LEAST_FOUND


def test_a_real_chest_in_wrong_units_is_abstained_on(model: Model, real_slices: list[Path]) -> None:
    """A model of phantoms may answer a real chest or not; one without its intercept it must not."""
    spoilt = (CTSlice(read_slice(read_instance(path.read_bytes())).hounsfield + 1024) for path in real_slices)
    assert counted(model, spoilt).share >= LEAST_FOUND


def test_the_pictures_of_a_kind_differ_and_the_same_seed_gives_the_same() -> None:
    for kind in KINDS.values():
        first, second = (kind(np.random.default_rng([SEED, 1])) for _ in range(2))
        assert first.shape == (SIDE, SIDE)
        assert np.array_equal(first, second)
        assert not np.array_equal(first, kind(np.random.default_rng([SEED, 2])))
