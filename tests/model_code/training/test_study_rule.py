"""How a model reads studies is fitted on enough patients with whole series, and else is the simple rule, by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aggregation.rule import INTERCEPT, Rule, parse
from aggregation.study import read_study
from model_code.training.study_rule import fit_rule
from tests.studies import made_studies
from wetread.demo.phantoms import LABELS

SIMPLE = Rule(reference="normal")


def test_a_rule_is_fitted_and_reads_new_patients_better_than_the_simple_one() -> None:
    found = fit_rule(made_studies(60, share=0.2), LABELS)
    assert (found.studies, found.patients) == (60, 60)
    assert found.reason == "The rule was fitted on 60 studies of 60 validation patients."
    assert set(found.rule.coefficients) == set(found.rule.thresholds) == {"cap", "covid"}

    def right(rule: Rule) -> float:
        new = made_studies(90, share=0.2, seed=1)
        return float(np.mean([read_study(one.slices, rule).predicted_class == one.label for one in new]))

    assert right(found.rule) > right(SIMPLE) + 0.1
    assert parse(found.rule.as_dict()) == found.rule


def test_equal_studies_in_another_order_give_the_same_rule() -> None:
    studies = made_studies(30)
    assert fit_rule(studies[::-1], LABELS).rule.thresholds == fit_rule(studies, LABELS).rule.thresholds


@pytest.mark.parametrize(
    ("patients", "slices", "reason"),
    [
        (18, 20, "The simple rule: 18 validation patients have whole series (6 normal, 6 cap, 6 covid)"),
        (60, 9, "The simple rule: 0 validation patients have whole series"),
        (0, 20, "The simple rule: 0 validation patients"),
    ],
)
def test_too_few_patients_or_slices_give_the_simple_rule_and_say_so(patients: int, slices: int, reason: str) -> None:
    found = fit_rule(made_studies(patients, slices=slices), LABELS)
    assert found.rule == SIMPLE
    assert found.reason.startswith(reason)
    assert "20 with 5 of each class are needed" in found.reason


def test_a_class_of_few_patients_gives_the_simple_rule() -> None:
    studies = [one for one in made_studies(60) if one.label != "cap" or int(one.patient[1:]) < 12]
    assert fit_rule(studies, LABELS).rule == SIMPLE


def test_classes_without_a_reference_have_the_simple_rule() -> None:
    found = fit_rule(made_studies(60), ("healthy", "cap", "covid"))
    assert (found.rule, found.studies) == (Rule(), 0)
    assert "no class is 'normal'" in found.reason


def test_studies_that_contradict_each_other_or_abstain_are_left_out() -> None:
    studies = made_studies(60)
    contradictory = [replace(one, label=None) for one in studies[:3]]
    unlike = [replace(one, slices=tuple(replace(s, abstained=True) for s in one.slices)) for one in studies[3:6]]
    assert fit_rule([*contradictory, *unlike, *studies[6:]], LABELS).studies == 54


def test_a_least_sensitivity_lowers_the_thresholds() -> None:
    studies = made_studies(60, share=0.15, seed=4)
    least = fit_rule(studies, LABELS, 0.99).rule.thresholds
    usual = fit_rule(studies, LABELS).rule.thresholds
    assert all(least[label] <= usual[label] for label in usual)
    assert least != usual


def test_an_intercept_alone_is_left_where_all_series_are_alike() -> None:
    alike = made_studies(1)[0].slices
    studies = [replace(one, slices=alike) for one in made_studies(30)]
    coefficients = fit_rule(studies, LABELS).rule.coefficients["cap"]
    assert {name: value for name, value in coefficients.items() if value} == {INTERCEPT: coefficients[INTERCEPT]}
