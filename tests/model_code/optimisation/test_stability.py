"""The changes under which the trained network is compared with itself."""

from __future__ import annotations

import numpy as np
import pytest

from model_code.optimisation.stability import CHANGES, NOISE_HU, noisy, sentence, shifted
from model_code.reading.ct_slice import CTSlice

STORED = np.arange(12, dtype=np.float32).reshape(3, 4)


def test_a_shift_moves_picture_and_padding_by_one_stored_pixel() -> None:
    moved = shifted(CTSlice(STORED, padding=STORED < 4))
    np.testing.assert_array_equal(moved.hounsfield, [[0, 0, 1, 2], [4, 4, 5, 6], [8, 8, 9, 10]])
    np.testing.assert_array_equal(moved.padding, STORED < 4)
    assert shifted(CTSlice(STORED)).padding is None


def test_noise_has_the_strength_that_it_is_named_by_and_is_the_same_each_time() -> None:
    plain = CTSlice(np.zeros((200, 200), np.float32))
    added = noisy(plain).hounsfield
    assert added.dtype == np.float32
    assert (added.mean(), added.std()) == (pytest.approx(0, abs=0.2), pytest.approx(NOISE_HU, rel=0.02))
    np.testing.assert_array_equal(noisy(plain).hounsfield, added)
    assert f"{NOISE_HU:.0f}_HU_of_noise" in CHANGES


def test_without_a_measurement_nothing_is_said() -> None:
    assert sentence({}) == ""
