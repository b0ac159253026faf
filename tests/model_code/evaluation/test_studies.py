"""Whole studies are measured by the rule that serves; those that are no series are counted and named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from aggregation.rule import SIMPLE
from aggregation.study import read_study
from model_code.evaluation.document import Predictions
from model_code.evaluation.studies import counts, measured
from model_code.studies import Study
from model_code.training.study_rule import fit_rule
from tests.studies import made_studies
from wetread.demo.phantoms import LABELS


def model(**given: Any) -> Predictions:
    nothing = np.zeros((0, 3))
    return Predictions({}, 1.0, nothing, nothing, **given)


def test_the_figures_are_those_of_the_code_that_serves() -> None:
    studies = made_studies(60, share=0.3, seed=2)
    rule = fit_rule(made_studies(60, share=0.3), LABELS).rule
    found = measured(studies, model(study=rule), LABELS)
    assert found is not None
    reads = [read_study(one.slices, rule) for one in studies]
    of_cap = [read.predicted_class == "cap" for read, one in zip(reads, studies, strict=True) if one.label == "cap"]
    assert found["Classes"]["cap"]["Sensitivity"]["Value"] == round(float(np.mean(of_cap)), 4)
    assert found["Classes"]["cap"]["Sensitivity"]["Low"] < found["Classes"]["cap"]["Sensitivity"]["Value"]
    assert found["Classes"]["cap"]["AUC"]["Value"] > 0.9
    assert sum(map(sum, found["ConfusionMatrix"])) == found["Studies"] == found["Patients"] == 60
    assert found["Aggregation"] == rule.described(LABELS)
    assert found["Aggregation"]["Fitted"]


def test_a_study_that_is_abstained_on_is_right_for_nothing() -> None:
    studies = made_studies(60)
    unlike = [abstained(one) if one.label == "cap" else one for one in studies[:30]] + studies[30:]
    found, usual = measured(unlike, model(), LABELS), measured(studies, model(), LABELS)
    assert found is not None
    assert usual is not None
    assert (found["Abstained"], found["Coverage"]) == (10, round(50 / 60, 4))
    assert found["SlicesAbstained"] == 10 * 20
    assert found["Classes"]["cap"]["Sensitivity"]["Value"] <= 0.5 < usual["Classes"]["cap"]["Sensitivity"]["Value"]
    assert sum(map(sum, found["ConfusionMatrix"])) == 50


def abstained(study: Study) -> Study:
    return replace(study, slices=tuple(replace(one, abstained=True) for one in study.slices))


def test_patients_are_the_unit_of_evidence() -> None:
    """The studies of 60 patients, each four times, are less evidence than those of 240."""
    studies = made_studies(60, share=0.2)
    copies = [replace(one, line=60 * copy + one.line) for copy in range(4) for one in studies]
    repeated, others = (measured(some, model(), LABELS) for some in (copies, made_studies(240, share=0.2)))
    assert repeated is not None
    assert others is not None
    assert (repeated["Patients"], others["Patients"]) == (60, 240)
    assert width(repeated["Classes"]["cap"]["Specificity"]) > 1.5 * width(others["Classes"]["cap"]["Specificity"])


def width(figure: dict[str, float]) -> float:
    return figure["High"] - figure["Low"]


def test_a_few_chosen_slices_are_no_series_and_are_named() -> None:
    few, contradictory = made_studies(3, slices=9), [replace(one, label=None) for one in made_studies(40)[38:]]
    found = counts([*few, *contradictory, *made_studies(30)])
    assert (found["Studies"], found["NoSeries"], found["NoSeriesLines"]) == (30, 3, [1, 2, 3])
    assert (found["Contradictory"], found["ContradictoryLines"]) == (2, [39, 40])
    assert measured([*few, *contradictory], model(), LABELS) is None


def test_by_folds_each_study_is_read_by_the_rule_of_its_fold() -> None:
    studies = [replace(one, fold=1 + number % 2) for number, one in enumerate(made_studies(60))]
    never = replace(SIMPLE, reference="normal", thresholds={"cap": 1.0, "covid": 1.0})
    found = measured(studies, model(studies={1: never, 2: replace(never, thresholds={})}), LABELS)
    assert found is not None
    assert 0 < found["Classes"]["cap"]["Sensitivity"]["Value"] <= 0.5
