"""Figures are shown with their intervals, and beside the champion's."""

import pytest

from tests.wetread.evaluation import evaluation, figure
from wetread.training import evaluations


def test_a_first_model_as_a_whole(capsys) -> None:
    evaluations.show(evaluation())
    shown = capsys.readouterr().out
    assert "On 36 held-out slices of 9 patients" in shown
    assert "0.900 (0.800 to 0.950)" in shown
    assert "Champion" not in shown
    assert "Sensitivity" not in shown


def test_a_model_that_has_seen_phantoms_only_is_marked_and_warned_of(capsys) -> None:
    document = evaluation(champion=True)
    document["Candidate"]["Model"]["Synthetic"] = True
    evaluations.show(document)
    shown = capsys.readouterr()
    assert "SYNTHETIC candidate ab12" in shown.out
    assert "SYNTHETIC champion" not in shown.out
    assert "has seen phantoms only" in shown.err


def test_figures_by_folds_are_said_to_be_of_other_models(capsys) -> None:
    folded = {"Folds": [{}] * 5, "Whole": {"BalancedAccuracy": 0.97, "SameClass": 0.9}}
    evaluations.show(evaluation() | {"OutOfFold": folded})
    shown = " ".join(capsys.readouterr().out.split())
    assert "Out of fold, on 36 slices of 9 patients" in shown
    assert "figures of 5 models, trained alike on 4/5 of the patients and tested on the others" in shown
    assert "not of the model that is promoted" in shown


def test_beside_the_champion_with_the_difference(capsys) -> None:
    evaluations.show(evaluation(champion=True))
    shown = capsys.readouterr().out
    (line,) = [line for line in shown.splitlines() if line.strip().startswith("Balanced accuracy  ")]
    assert "0.900 (0.800 to 0.950)" in line
    assert "0.800 (0.700 to 0.850)" in line
    assert "candidate less champion on the same cases: 0.100 (-0.020 to 0.200)" in shown


def test_in_full_by_class_and_subgroup(capsys) -> None:
    evaluations.show(evaluation(), in_full=True)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["covid", "12", "3", "-", "0.900", "(0.800", "to", "1.000)", "0.950", "undefined"] in lines
    assert ["covid", "2", "0", "10"] in lines
    assert ["PatientSex", "F", "20", "5", "0.880", "(0.700", "to", "1.000)"] in lines


def test_without_subgroups_there_is_no_table_of_them(capsys) -> None:
    document = evaluation()
    document["Candidate"]["Subgroups"] = []
    evaluations.show(document, in_full=True)
    assert "Subgroups" not in capsys.readouterr().out


@pytest.mark.parametrize("document", [{}, [], "text", evaluation() | {"Candidate": {"Model": {}}}])
def test_another_document_is_a_warning(capsys, document) -> None:
    evaluations.show(document, in_full=True)
    shown = capsys.readouterr()
    assert "not of the form evaluation/2 or evaluation/1" in shown.err
    assert shown.out == ""


def test_figures() -> None:
    assert evaluations.figure(figure(0.5)) == "0.500"
    assert evaluations.figure(figure(None)) == "undefined"
    assert evaluations.figure(figure(None) | {"TooFew": True}) == "too few to say"
