"""Intervals hold where classes are unlike: a rare one, one that is read worse, patients with slices of two classes."""

from __future__ import annotations

import numpy as np
import pytest

from model_code.evaluation import document, intervals
from model_code.evaluation.bootstrap import Floats
from model_code.evaluation.intervals import Clusters

SLICES = 5  # of each patient
DRAWS = 300


def clusters(*patients: int) -> Clusters:
    """So many patients of each class."""
    strata = np.repeat(np.arange(len(patients)), patients)
    return Clusters(np.repeat(np.arange(len(strata)), SLICES), strata)


def read_right(of: Clusters, shares: tuple[float, ...], rng: np.random.Generator) -> Floats:
    """Whether each slice is read right, by patients who are wholly so or not at all."""
    right: Floats = (rng.random(len(of.strata)) < np.array(shares)[of.strata])[of.unit_of].astype(float)
    return right


@pytest.mark.parametrize(
    ("patients", "shares"),
    [
        ((4, 98, 98), (0.8, 0.9, 0.9)),
        ((4, 98, 98), (0.6, 0.95, 0.95)),
        ((6, 30, 60), (0.8, 0.9, 0.9)),
        ((4, 20), (0.7, 0.95)),
        ((10, 50), (0.8, 0.95)),
    ],
)
def test_balanced_accuracy_is_covered_though_one_class_is_rare(
    patients: tuple[int, ...], shares: tuple[float, ...]
) -> None:
    of, rng = clusters(*patients), np.random.default_rng(4)
    found = [intervals.mean_of_classes(read_right(of, shares, rng), of) for _ in range(DRAWS)]
    covered = [one.low <= np.mean(shares) <= one.high for one in found if one.low is not None and one.high is not None]
    assert sum(covered) >= 0.93 * DRAWS
    assert np.median([one.high - one.low for one in found if one.low is not None and one.high is not None]) < 0.8


def test_four_patients_of_a_rare_class_do_not_show_that_a_model_is_no_worse_on_it() -> None:
    of = clusters(4, 98, 98)
    right = np.ones(len(of.unit_of))
    low = intervals.difference(right, right, of).figure.low
    assert low is not None
    assert low < -0.05, "a model that fails on three of ten patients of the rare class seems equal in a quarter of runs"


def test_equal_classes_have_all_degrees_of_freedom_and_a_rare_one_its_own() -> None:
    assert clusters(20, 20, 20).spare_of_mean == pytest.approx(57)
    assert clusters(4, 98, 98).spare_of_mean == pytest.approx(3.5, abs=0.1)


def test_patients_who_are_wholly_right_or_wrong_count_once_though_their_class_alone_is_read_badly() -> None:
    of = clusters(*[40] * 5)
    right = np.ones(len(of.unit_of))
    right[: 40 * SLICES // 2] = 0
    assert intervals.design_effect(right, of) == pytest.approx(1, abs=0.02)


def test_balanced_accuracy_is_the_mean_of_sensitivities_though_patients_have_slices_of_two_classes() -> None:
    """Four of eight patients are ill, and four of their ten slices are normal; the model calls everything normal."""
    of_slice = np.repeat(np.arange(8), 10)
    targets = ((of_slice < 4) & (np.arange(80) % 10 < 6)).astype(np.intp)
    test = document.TestSet(("normal", "covid"), targets, of_slice, {})
    always = np.tile([0.9, 0.1], (80, 1))
    perfect = np.eye(2)[targets]
    models = [document.Predictions({}, 1.0, one, one) for one in (always, perfect)]
    found = document.build("", test, *models)
    sensitivities = [one["Sensitivity"]["Value"] for one in found["Candidate"]["Classes"].values()]
    assert found["Candidate"]["BalancedAccuracy"]["Value"] == np.mean(sensitivities) == 0.5
    assert found["Paired"]["Difference"] == -0.5


def test_an_auc_is_covered_though_few_patients_of_a_rare_class_are_hard() -> None:
    rng, draws, covered = np.random.default_rng(6), 200, 0
    of = clusters(10, 100)
    positive = of.strata[of.unit_of] == 0

    def scores(hard: Floats) -> Floats:
        centre = np.where(of.strata == 0, np.where(hard, -1.0, 3.0), 0.0) + rng.normal(size=len(of.strata)) * 0.7
        drawn: Floats = centre[of.unit_of] + rng.normal(size=len(of.unit_of)) * 0.7
        return drawn

    def area(of_slices: Floats) -> float:
        ours, theirs = of_slices[positive], np.sort(of_slices[~positive])
        return float(np.searchsorted(theirs, ours).mean() / len(theirs))

    truth = np.mean([area(scores(rng.random(len(of.strata)) < 0.3)) for _ in range(1_000)])
    for _ in range(draws):
        drawn = scores(rng.random(len(of.strata)) < 0.3)
        low, high = intervals.area(area(drawn), drawn, positive, of)
        covered += low <= truth <= high
    assert covered >= 0.9 * draws
