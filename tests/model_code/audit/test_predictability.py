"""The permutation test: it finds real effects, and its p-values are uniform without one."""

from __future__ import annotations

import numpy as np
import pytest

from model_code.audit.predictability import predictability

CLASSES = np.repeat([0, 1, 2], 12)


def noise(seed: int, units: int, tags: int = 12, values: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, values, (units, tags))


def test_one_predictive_tag_among_many_is_found_and_named() -> None:
    bins = np.column_stack([noise(0, 36), CLASSES])
    found = predictability(bins, CLASSES, 199, 0)
    assert found.balanced_accuracy == 1
    assert found.by_tag[-1] == 1
    assert max(found.by_tag[:-1]) < 0.8
    assert found.p_value == 1 / 200


def test_all_tags_together_may_predict_what_no_single_tag_does() -> None:
    rng = np.random.default_rng(0)
    # Each tag agrees with the class in two of five cases more than chance.
    bins = np.where(rng.random((300, 12)) < 0.4, np.repeat([0, 1, 2], 100)[:, None], rng.integers(0, 3, (300, 12)))
    found = predictability(bins, np.repeat([0, 1, 2], 100), 49, 0)
    assert found.balanced_accuracy > max(found.by_tag) + 0.1
    assert found.p_value == 1 / 50


@pytest.mark.parametrize("sizes", [(12, 12, 12), (30, 4, 7)])
def test_without_an_effect_p_values_are_spread_evenly(sizes: tuple[int, ...]) -> None:
    classes = np.repeat([0, 1, 2], sizes)
    values = [predictability(noise(seed, sum(sizes)), classes, 19, seed).p_value for seed in range(40)]
    assert 0.35 < np.mean(values) < 0.65
    assert np.mean(np.array(values) <= 0.1) < 0.25


@pytest.mark.parametrize("sizes", [(20, 20, 20), (40, 10, 10)])
def test_a_tag_with_another_value_for_every_unit_predicts_nothing(sizes: tuple[int, ...]) -> None:
    classes = np.repeat([0, 1, 2], sizes)
    found = predictability(np.arange(60)[:, None], classes, 39, 0)
    assert found.balanced_accuracy == pytest.approx(1 / 3)
    assert found.p_value == 1


def test_few_units_cannot_be_significant() -> None:
    classes = np.array([0, 0, 1, 1])
    found = predictability(classes[:, None], classes, 199, 0)
    assert found.balanced_accuracy == 1
    assert found.p_value > 0.1


def test_the_same_seed_gives_the_same_answer() -> None:
    bins = noise(3, 36)
    assert predictability(bins, CLASSES, 49, 7) == predictability(bins, CLASSES, 49, 7)
    assert predictability(bins, CLASSES, 49, 7) != predictability(bins, CLASSES, 49, 8)
