"""The slices that a model abstains on are counted beside the figures, which are of all slices."""

from __future__ import annotations

import numpy as np

from model_code.evaluation.abstention import counts

LABELS = ("normal", "cap")
TARGETS = np.array([0, 0, 0, 1, 1, 1])
PROBABILITIES = np.array([[0.9, 0.1], [0.52, 0.48], [0.8, 0.2], [0.1, 0.9], [0.45, 0.55], [0.9, 0.1]])
ATTRIBUTES = {"PatientSex": ["F", "F", "M", "F", "M", "M"]}
LAST_OF_EACH = np.array([False, False, True, False, False, True])


def test_abstained_and_unsure_slices_are_counted_by_class_and_subgroup() -> None:
    found = counts(PROBABILITIES, LAST_OF_EACH, TARGETS, LABELS, ATTRIBUTES)
    assert (found["Abstains"], found["Abstained"], found["Unsure"]) == (True, 2, 1)
    assert found["Coverage"] == round(4 / 6, 4)
    assert found["ByClass"] == {"normal": {"Abstained": 1, "Unsure": 1}, "cap": {"Abstained": 1, "Unsure": 0}}
    assert [(one["Value"], one["Abstained"]) for one in found["BySubgroup"]] == [("F", 0), ("M", 2)]


def test_the_balanced_accuracy_is_given_on_both_sides() -> None:
    found = counts(PROBABILITIES, LAST_OF_EACH, TARGETS, LABELS, ATTRIBUTES)
    assert (found["BalancedAccuracyAnswered"], found["BalancedAccuracyAbstained"]) == (1.0, 0.5)


def test_a_model_that_abstains_on_nothing_answers_everything() -> None:
    found = counts(PROBABILITIES, None, TARGETS, LABELS, ATTRIBUTES)
    assert (found["Abstains"], found["Coverage"], found["Abstained"], found["Unsure"]) == (False, 1.0, 0, 1)
    assert found["BalancedAccuracyAbstained"] is None


def test_a_model_that_abstains_on_everything_has_no_figure_of_what_it_answers() -> None:
    found = counts(PROBABILITIES, np.ones(6, np.bool_), TARGETS, LABELS, ATTRIBUTES)
    assert (found["Coverage"], found["BalancedAccuracyAnswered"]) == (0.0, None)
