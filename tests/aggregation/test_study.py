"""A study's answer from its slices: by either rule, in any order, with slices that do not count."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from aggregation.rule import SIMPLE, Rule
from aggregation.slices import NAMES, Slice
from aggregation.study import Caution, StudyRead, read_study

FITTED = Rule(
    reference="normal",
    thresholds={"covid": 0.4},
    coefficients={"covid": {"intercept": -3.0, **dict.fromkeys(NAMES, 0.0), "top_mean": 4.0, "run": 1.0}},
)


def of(*covid: float, series: str = "1.2", abstained: bool = False, placed: bool = True) -> list[Slice]:
    return [
        Slice(
            upload_id=f"{series}-{number:03}{'a' if abstained else ''}",
            series=series,
            probabilities={"covid": value, "normal": 1 - value},
            position=float(number) if placed else None,
            abstained=abstained,
        )
        for number, value in enumerate(covid)
    ]


def test_the_simple_rule_is_the_mean_of_the_three_highest() -> None:
    read = read_study(of(0.1, 0.9, 0.2, 0.6, *[0.0] * 10), SIMPLE)
    assert read.scores == {"covid": 0.566667, "normal": 0.433333}
    assert read.predicted_class == "covid"
    assert [one.probability for one in read.evidence["covid"]] == [0.9, 0.6, 0.2]
    assert [one.position for one in read.evidence["covid"]] == [1, 3, 2]
    assert read.cautions == (Caution.AGGREGATOR_NOT_FITTED,)


def test_one_high_slice_does_not_make_a_study() -> None:
    assert read_study(of(0.99, *[0.0] * 20), SIMPLE).predicted_class == "normal"


def test_a_fitted_rule_has_its_threshold_and_its_numbers() -> None:
    read = read_study(of(0.1, 0.6, 0.6, 0.6, 0.1, *[0.0] * 6), FITTED)
    assert read.scores["covid"] == 0.687035  # the logistic of -3 + 4 * 0.6 + ln(1 + 3)
    assert read.predicted_class == "covid"
    assert read.cautions == ()


def test_by_a_fitted_rule_a_healthy_study_has_none_of_the_classes() -> None:
    never = dict.fromkeys(("intercept", *NAMES), 0.0)
    rule = Rule(reference="normal", coefficients={"cap": never, "covid": never | {"intercept": -1.0}})
    slices = [replace(one, probabilities={**one.probabilities, "cap": 0.0}) for one in of(*[0.0] * 10)]
    assert read_study(slices, rule).scores == {"cap": 0.5, "covid": 0.268941, "normal": 0.36553}


def test_the_longest_run_counts_neighbours_alone() -> None:
    together, apart = of(0, 0.6, 0.6, 0.6, 0, 0, 0), of(0, 0.6, 0, 0.6, 0, 0.6, 0)
    assert read_study(together, FITTED).scores["covid"] > read_study(apart, FITTED).scores["covid"]


def test_the_same_place_twice_is_one_neighbour() -> None:
    again = [replace(one, upload_id=f"again-{one.upload_id}") for one in of(0.6, 0.6)]
    rule = replace(FITTED, coefficients={"covid": dict.fromkeys(("intercept", *NAMES), 0.0) | {"run": 1.0}})
    assert read_study(of(0.6, 0.6) + again, rule).scores == read_study(of(0.6, 0.6), rule).scores


@pytest.mark.parametrize("rule", [SIMPLE, FITTED])
def test_the_order_of_the_slices_changes_nothing(rule: Rule) -> None:
    draw = random.Random(7)
    slices = [one for uid in ("1.2", "1.3") for one in of(*[draw.random() for _ in range(60)], series=uid)]
    expected = read_study(slices, rule)
    for _ in range(20):
        draw.shuffle(slices)
        assert read_study(slices, rule) == expected


def test_ties_of_evidence_are_in_the_order_of_positions_then_uploads() -> None:
    slices = of(*[0.7] * 12)
    assert [one.position for one in read_study(slices[::-1], SIMPLE).evidence["covid"]] == [0, 1, 2]
    unplaced = [replace(one, position=None) for one in slices]
    assert [one.upload_id for one in read_study(unplaced[::-1], SIMPLE).evidence["covid"]] == [
        "1.2-000",
        "1.2-001",
        "1.2-002",
    ]


def test_the_series_with_the_highest_score_decides() -> None:
    read = read_study(of(*[0.1] * 10, series="1.2") + of(*[0.9] * 10, series="1.3"), SIMPLE)
    assert read.scores["covid"] == 0.9
    assert {one.series for one in read.evidence["covid"]} == {"1.3"}
    assert [(one.series, one.scores["covid"]) for one in read.series] == [("1.2", 0.1), ("1.3", 0.9)]


def test_slices_that_abstained_do_not_count() -> None:
    read = read_study(of(*[0.1] * 10) + of(*[1.0] * 10, abstained=True), SIMPLE)
    assert (read.predicted_class, read.counted, read.abstentions, read.abstained) == ("normal", 10, 10, False)
    assert all(one.probability == 0.1 for one in read.evidence["covid"])


def test_a_series_most_of_whose_slices_abstained_is_left_out() -> None:
    unlike = of(0.9, 0.9, series="1.3") + of(*[0.9] * 3, series="1.3", abstained=True)
    read = read_study(of(*[0.1] * 10) + unlike, SIMPLE)
    assert (read.predicted_class, read.abstained) == ("normal", False)
    assert [one.abstained for one in read.series] == [False, True]
    assert Caution.OUT_OF_DISTRIBUTION in read.cautions


def test_a_study_without_any_other_series_abstains() -> None:
    read = read_study(of(*[0.9] * 4) + of(*[0.9] * 5, abstained=True), SIMPLE)
    assert (read.predicted_class, read.scores, read.evidence, read.abstained) == (None, {}, {}, True)
    assert Caution.OUT_OF_DISTRIBUTION in read.cautions


def test_no_slices_are_no_answer() -> None:
    read = read_study([], SIMPLE)
    assert (read.predicted_class, read.scores, read.abstained, read.counted) == (None, {}, False, 0)


@pytest.mark.parametrize(
    ("slices", "rule", "caution"),
    [
        (of(*[0.1] * 9), FITTED, Caution.FEW_SLICES),
        (of(*[0.1] * 10), SIMPLE, Caution.AGGREGATOR_NOT_FITTED),
        (of(*[0.1] * 10, placed=False), FITTED, Caution.NO_POSITIONS),
    ],
)
def test_what_a_person_should_know(slices: list[Slice], rule: Rule, caution: Caution) -> None:
    assert read_study(slices, rule).cautions == (caution,)


def classes_of(**probabilities: float) -> StudyRead:
    slices = [Slice(upload_id=str(one), series="1.2", probabilities=probabilities) for one in range(10)]
    return read_study(slices, SIMPLE)


def test_without_a_reference_the_highest_class_that_is_clear() -> None:
    clear, unclear = classes_of(cap=0.7, covid=0.3), classes_of(cap=0.4, covid=0.3, flu=0.3)
    assert (clear.predicted_class, clear.scores) == ("cap", {"cap": 0.7, "covid": 0.3})
    assert unclear.predicted_class is None
    assert Caution.NO_REFERENCE in clear.cautions


def test_the_class_with_the_highest_score_of_several() -> None:
    rule = Rule(thresholds={"cap": 0.2, "covid": 0.2})
    slices = [
        Slice(upload_id=str(one), series="1.2", probabilities={"cap": 0.3, "covid": 0.4, "normal": 0.3})
        for one in range(10)
    ]
    assert read_study(slices, rule).predicted_class == "covid"


def test_an_upload_counts_once() -> None:
    with pytest.raises(ValueError, match=r"1\.2-000 is there twice"):
        read_study(of(0.1) + of(0.2), SIMPLE)
