"""Intervals cover the truth, and a worse model rarely passes: measured through the product's own code."""

from __future__ import annotations

import pytest

from assurance.gates import folds, hard, subgroups
from assurance.gates.generator import BASE, HIGH, SETTINGS, Setting, fold_of, truth_of
from assurance.gates.generator import test_set as made_test_set
from assurance.gates.reuse import after_training_on_some, chained, first_retrained, retrained
from assurance.gates.service import Service, population_of, service_of
from assurance.gates.trials import METRICS, coverage, left_to_a_person, predicted, promoted

DRAWS, SEED = 100, 7
# Of 100 draws at a true share of 0.93 fewer than 86, or at one of 0.05 more than 11, come once in 100 times.
LEAST_COVERED, MOST_PASSED = 0.86, 0.11


@pytest.mark.check
@pytest.mark.parametrize("patients", [24, 60])
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda one: one.name)
def test_intervals_cover_the_truth_and_always_have_a_width(setting: Setting, patients: int) -> None:
    found = coverage(setting, patients, DRAWS, SEED)
    assert min(found[metric] for metric in METRICS) >= LEAST_COVERED, found
    assert found["Width0"] == 0


@pytest.mark.check
@pytest.mark.parametrize("patients", [6, 12, 24, 60])
@pytest.mark.parametrize("setting", [BASE, HIGH], ids=lambda one: one.name)
def test_a_candidate_that_is_worse_by_the_margin_rarely_passes(setting: Setting, patients: int) -> None:
    assert promoted(setting, patients, -0.05, DRAWS, SEED) <= MOST_PASSED


@pytest.mark.check
@pytest.mark.parametrize("patients", [24, 60])
def test_no_model_is_refused_because_a_subgroup_of_few_is_below_the_others_by_chance(patients: int) -> None:
    found = subgroups.refused(HIGH, patients, 0.0, DRAWS, SEED)
    assert found.by_gate == 0 < found.by_value, "the values alone refuse some"


@pytest.mark.check
def test_a_model_that_fails_in_a_subgroup_of_enough_patients_is_refused() -> None:
    assert subgroups.refused(BASE, 200, 0.5, 20, SEED).by_gate >= 0.9


@pytest.mark.check
def test_the_power_that_is_printed_before_a_run_is_what_the_gate_gives() -> None:
    for better in (0.0, 0.05):
        assert predicted(BASE, 60, better) == pytest.approx(promoted(BASE, 60, better, DRAWS, SEED), abs=0.2)


@pytest.mark.check
def test_where_the_patients_are_too_few_to_tell_a_person_decides_instead_of_the_gate() -> None:
    assert promoted(BASE, 12, 0.0, DRAWS, SEED) < 0.1
    assert left_to_a_person(BASE, 12, DRAWS, SEED) > 0.3


@pytest.mark.check
@pytest.mark.parametrize("setting", [BASE, HIGH], ids=lambda one: one.name)
def test_a_first_model_at_the_threshold_rarely_passes_however_often_it_is_trained_and_a_good_one_does(
    setting: Setting,
) -> None:
    assert first_retrained(setting, 60, 0.7, 10, DRAWS, SEED) <= MOST_PASSED
    assert first_retrained(setting, 200, 0.9, 1, 10, SEED) == 1


@pytest.mark.check
@pytest.mark.parametrize("patients", [24, 60])
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda one: one.name)
def test_of_ten_retrainings_of_a_worse_model_rarely_one_passes(setting: Setting, patients: int) -> None:
    assert retrained(setting, patients, -0.05, 10, DRAWS, SEED) <= MOST_PASSED


@pytest.mark.check
@pytest.mark.parametrize("setting", [BASE, HIGH], ids=lambda one: one.name)
def test_a_chain_of_ever_worse_models_stops_within_the_margin(setting: Setting) -> None:
    chain = chained(setting, 60, -0.03, DRAWS // 2, SEED)
    assert chain.lost_more_than_the_margin <= MOST_PASSED
    assert chain.promotions < 1


@pytest.mark.check
def test_what_balanced_accuracy_alone_refuses_in_a_simulation_the_whole_gate_refuses() -> None:
    refused = 0
    for draw in range(10):
        for first in (False, True):
            population, cases = population_of(HIGH, 30, SEED, draw)
            champion = None if first else population.model(0.95, "champion")
            candidate = population.model(0.9)
            short, whole = Service(cases, champion).try_one(candidate), Service(cases, champion).judge(candidate)
            assert short is (not whole)
            refused += not short
    assert 0 < refused < 20


def test_an_equal_that_passes_is_compared_with_the_first_champion_from_then_on() -> None:
    """At 200 patients an equal passes as a rule, and is not shown to be better."""
    for draw in range(20):
        population, service = service_of(BASE, 200, SEED, draw)
        if service.try_one(population.model(0.85)) and service.champion.reference:
            break
    assert (service.champion.model_package, service.champion.reference) == ("2", "1")
    assert 0 < service.champion.behind <= 0.05
    assert not service.try_one(population.model(0.7))
    assert service.attempts == 2


@pytest.mark.check
def test_a_champion_that_was_trained_on_test_patients_blocks_fewer_equals_where_these_are_left_out() -> None:
    left_out, counted = after_training_on_some(BASE, 200, 0.0, 20, SEED)
    assert left_out > counted == 0


@pytest.mark.check
@pytest.mark.parametrize("setting", [BASE, HIGH], ids=lambda one: one.name)
def test_a_candidate_that_fails_on_some_patients_of_one_class_passes_rarely_only_where_many_were_tested(
    setting: Setting,
) -> None:
    """By ten points: by five it is near the level only where more were tested."""
    assert hard.promoted(setting, 60, 0.10, 1, DRAWS, SEED) <= MOST_PASSED


def test_a_candidate_that_fails_on_a_share_of_a_class_is_worse_by_as_much_as_said() -> None:
    population, cases = population_of(BASE, 30_000, SEED, 0)
    share = hard.share_of(BASE, 0.05)
    of_class = population.patients_of(0)
    failing = population.failing_on(frozenset(of_class[: round(share * len(of_class))].tolist()), 0.85)
    right = failing.predicted == cases.targets
    sensitivities = [right[cases.targets == one].mean() for one in range(3)]
    assert sensitivities == pytest.approx([0.70, 0.85, 0.85], abs=0.01)


def test_the_settings_are_those_of_the_measurements() -> None:
    assert (truth_of(BASE.balanced_accuracy, 3).sensitivity, HIGH.intra_patient) == (0.85, 0.7)
    assert truth_of(0.85, 3).specificity == pytest.approx(0.925)
    assert truth_of(0.85, 2).specificity == pytest.approx(0.85)
    assert 0.93 < truth_of(0.85, 3).auc < truth_of(0.95, 3).auc < 1


@pytest.mark.check
@pytest.mark.parametrize("patients", [24, 60])
@pytest.mark.parametrize("setting", [BASE, HIGH], ids=lambda one: one.name)
def test_by_folds_that_differ_a_candidate_whose_training_is_worse_by_the_margin_rarely_passes(
    setting: Setting, patients: int
) -> None:
    """The patients of a fold share a model; the models' balanced accuracies have a standard deviation of 0.02."""
    assert folds.promoted(setting, patients, -0.05, 0.02, DRAWS, SEED) <= MOST_PASSED


@pytest.mark.check
def test_folds_show_of_a_small_cohort_what_a_test_part_cannot() -> None:
    """Of 24 labelled patients 24 are tested, where a test part has 5: on fewer than 12 nothing ever passes."""
    assert folds.promoted(BASE, 24, 0.10, 0.02, 40, SEED) > 0.5
    assert promoted(BASE, 6, 0.10, 20, SEED) == 0


def test_each_class_is_dealt_to_all_folds_and_patients_stay_whole() -> None:
    cases = made_test_set(BASE, 24)
    found = fold_of(cases, 5)
    assert all(len(set(found[cases.patients == patient])) == 1 for patient in range(24))
    for label in range(3):
        patients = [len(set(cases.patients[(found == fold) & (cases.targets == label)])) for fold in range(5)]
        assert sorted(patients) == [1, 1, 2, 2, 2]
    assert folds.unseen_loss(0.02) == pytest.approx(0.0385, abs=1e-3)
