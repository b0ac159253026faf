"""Answers for files are shown side by side."""

import json
from pathlib import Path

import pytest

from wetread.models import predictions
from wetread.problems import Problem

FILES = [Path("a.dcm"), Path("b.dcm")]
GOOD = {"Class": "covid", "Probabilities": {"normal": 0.1, "cap": 0.2, "covid": 0.7}}
BAD = {"Error": {"Code": "UndecodablePixelData", "Message": "The pixel data is cut off."}}


def test_a_line_each_and_a_problem_for_what_could_not_be_read(capsys) -> None:
    with pytest.raises(Problem, match="could not read 1 of 2 files"):
        predictions.show(FILES, [GOOD, BAD], as_json=False)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["a.dcm", "covid", "70.0", "%", "normal", "10.0", "%,", "cap", "20.0", "%"] in lines
    assert any(line[:3] == ["b.dcm", "UndecodablePixelData", "-"] for line in lines)


def test_a_model_that_abstained_or_is_unsure_shows_no_class_as_if_it_were_certain(capsys) -> None:
    unlike = {"Score": 3.5, "Threshold": 0.5, "Abstained": True}
    near = {"Class": "covid", "Probabilities": {"normal": 0.1, "cap": 0.44, "covid": 0.46}, "Unsure": True}
    predictions.show(FILES, [{**GOOD, "Class": None, "Typicality": unlike}, near], as_json=False)
    said = capsys.readouterr().out
    assert "abstained: unlike its training" in said
    assert "70.0" not in said
    assert "unsure: covid 46.0 % or cap 44.0 %" in said


def test_answers_of_a_model_that_has_seen_phantoms_only_are_marked_and_explained_once(capsys) -> None:
    with pytest.raises(Problem):
        predictions.show(FILES, [one | {"Synthetic": True} for one in (GOOD, BAD)], as_json=False)
    shown = capsys.readouterr()
    lines = [line.split() for line in shown.out.splitlines()]
    assert any(line[:3] == ["a.dcm", "SYNTHETIC", "covid"] for line in lines)
    assert any(line[:3] == ["b.dcm", "SYNTHETIC", "UndecodablePixelData"] for line in lines)
    assert shown.err.count("has seen phantoms only") == 1
    predictions.show(FILES[:1], [GOOD], as_json=False)
    shown = capsys.readouterr()
    assert "SYNTHETIC" not in shown.out + shown.err


def test_json_is_the_models_own_documents_with_the_file(capsys) -> None:
    predictions.show(FILES[:1], [GOOD], as_json=True)
    assert json.loads(capsys.readouterr().out) == [{"File": "a.dcm", **GOOD}]
