"""The block ``study`` of metadata.json: what is written is read, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aggregation.rule import MOST_BYTES, SIMPLE, MalformedRule, Rule, loads, parse
from aggregation.slices import NAMES

COEFFICIENTS = dict.fromkeys(("intercept", *NAMES), 0.5)
FITTED = Rule(reference="normal", k=5, thresholds={"covid": 0.25}, coefficients={"covid": COEFFICIENTS})


@pytest.mark.parametrize("rule", [SIMPLE, FITTED, Rule(reference="healthy", k=1)])
def test_a_written_rule_is_read(rule: Rule) -> None:
    assert parse(rule.as_dict()) == rule
    assert loads(rule.dumps()) == rule


def test_no_rule_is_the_simple_one() -> None:
    assert loads("") == SIMPLE
    assert SIMPLE.described(["cap", "normal"]) == {
        "Rule": "top_mean",
        "K": 3,
        "Thresholds": {"cap": 0.5},
        "Reference": "normal",
        "Fitted": False,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "study.version is 2"),
        ({"version": True}, "study.version is True"),
        ({"rule": "noisy_or"}, "study.rule is 'noisy_or', not fitted"),
        ({"rule": "top_mean"}, "study.rule is 'top_mean', not fitted"),
        ({"k": 0}, "study.k is 0, not a whole number from 1 to 100"),
        ({"k": 1e9}, "study.k"),
        ({"k": True}, "study.k"),
        ({"reference": None}, "a fitted rule must name the reference"),
        ({"reference": "\ud800"}, "study.reference"),
        ({"reference": "n" * 65}, "study.reference"),
        ({"thresholds": {"covid": 1.1}}, "study.thresholds.covid is 1.1, not a number from 0 to 1"),
        ({"thresholds": {"covid": float("nan")}}, "study.thresholds.covid is nan"),
        ({"thresholds": [0.5]}, "study.thresholds"),
        ({"thresholds": {str(one): 0.5 for one in range(65)}}, "at most 64 classes"),
        ({"coefficients": {"covid": COEFFICIENTS | {"max": 1e7}}}, "study.coefficients.covid.max is 1"),
        ({"coefficients": {"covid": COEFFICIENTS | {"max": float("inf")}}}, "study.coefficients.covid.max is inf"),
        ({"coefficients": {"covid": COEFFICIENTS | {"max": "1"}}}, "study.coefficients.covid.max is '1'"),
        ({"coefficients": {"covid": COEFFICIENTS | {"median": 1}}}, "has the field 'median'"),
        ({"coefficients": {"covid": {"intercept": 1}}}, "study.coefficients.covid has no max"),
        ({"coefficients": {"covid": 3}}, "study.coefficients.covid is 3, not an object"),
        ({"treshold": 0.5}, "study has the field 'treshold'"),
    ],
)
def test_anything_else_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedRule, match=message):
        parse(FITTED.as_dict() | change)


@pytest.mark.parametrize("text", ["[", "[" * 100_000, '{"version": 1}', "[]", "3", " " * (MOST_BYTES + 1)])
def test_a_text_that_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(MalformedRule):
        loads(text)


def test_the_largest_rule_fits_its_bounds() -> None:
    classes = [f"{number:02}" + "ÿ" * 62 for number in range(64)]
    values = dict.fromkeys(("intercept", *NAMES), -999999.12345678)
    rule = Rule(
        reference="normal",
        thresholds=dict.fromkeys(classes, 0.123456),
        coefficients=dict.fromkeys(classes, values),
    )
    assert loads(rule.dumps()) == rule


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["cap", "covid", "normal"], "of each class but the reference; see 'cap'"),
        (["normal"], "names the class 'covid', which the model does not have"),
        (["covid"], "names the class 'normal'"),
    ],
)
def test_a_rule_is_about_the_classes_of_its_model(classes: list[str], message: str) -> None:
    FITTED.check_classes(["covid", "normal"])
    with pytest.raises(MalformedRule, match=message):
        FITTED.check_classes(classes)


def test_infinite_sums_are_scores_too() -> None:
    most = json.loads(json.dumps(FITTED.as_dict()))
    most["coefficients"]["covid"] = dict.fromkeys(("intercept", *NAMES), -1e6)
    from aggregation.slices import Slice

    one = Slice(upload_id="1", series="1", probabilities={"covid": 1.0}, position=0.0)
    assert parse(most).score([one], "covid") == 0.0
