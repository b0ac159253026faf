"""Champion and reference are compared on patients that they were not trained on, at the level of the attempt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assurance.gates.generator import BASE, Population
from assurance.gates.generator import test_set as made_test_set
from functions.domain import against as gate
from functions.domain import evaluation
from model_code.errors import SnapshotError
from model_code.evaluation.against import Rival, build_compared, cases_of, level_of, predictions_of, unseen_by
from model_code.evaluation.document import Predictions, build
from model_code.snapshot import Case, Split

DIGEST = "ab" * 32
CASES = made_test_set(BASE, 30)
EVERY = np.ones(len(CASES.targets), bool)


def models(*accuracies: float) -> list[Predictions]:
    population = Population(BASE, CASES, np.random.default_rng(3))
    return [population.model(one, f"model-{number}") for number, one in enumerate(accuracies)]


def compared(attempt: int = 1, **rivals: Rival) -> dict[str, Any]:
    return build_compared(DIGEST, CASES, models(0.85)[0], rivals, attempt)


def rival(accuracy: float, unseen: Any = EVERY) -> Rival:
    return Rival(models(0.85, accuracy)[1], unseen, known=True)


def test_the_first_attempt_is_judged_by_little_more_than_the_interval_that_the_report_shows() -> None:
    document = compared(Champion=rival(0.85))
    assert 0 < document["Paired"]["Low"] - document["Attempt"]["Champion"]["Bound"] < 0.02
    assert document["Attempt"]["Champion"]["Difference"] == document["Paired"]["Difference"]


def test_each_further_attempt_asks_for_more_and_all_of_them_together_for_one_in_40() -> None:
    bounds = [compared(attempt, Champion=rival(0.85))["Attempt"]["Champion"]["Bound"] for attempt in (1, 2, 5, 50)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] - bounds[-1] > 0.05
    assert sum(level_of(attempt) for attempt in range(1, 100_000)) == pytest.approx(0.025, abs=1e-6)
    assert [level_of(attempt) for attempt in range(1, 9)] == [gate.level_of(attempt) for attempt in range(1, 9)]


def test_a_champion_is_compared_and_measured_on_patients_that_it_was_not_trained_on() -> None:
    unseen = CASES.patients >= 12
    champion = rival(0.85, unseen)
    document = compared(Champion=champion)
    candidate = models(0.85)[0]
    part = build(
        DIGEST,
        cases_of(CASES, unseen),
        predictions_of(candidate, unseen),
        predictions_of(champion.predictions, unseen),
    )
    assert (document["Champion"], document["Paired"]) == (part["Champion"], part["Paired"])
    assert document["Candidate"] == compared()["Candidate"]
    found = document["Attempt"]["Champion"]
    assert (found["Patients"], found["Seen"]) == (18, 12)


@pytest.mark.parametrize("unseen", [~EVERY, CASES.targets == 0, CASES.patients < 3])
def test_where_a_class_has_nobody_left_nothing_is_compared(unseen: Any) -> None:
    document = compared(Champion=rival(0.85, unseen))
    assert document["Attempt"]["Champion"]["Bound"] is None
    assert document["Champion"]
    json.dumps(document, allow_nan=False)


def test_the_reference_is_compared_beside_the_champion() -> None:
    document = compared(Champion=rival(0.8), Reference=rival(0.95))
    found = document["Attempt"]
    assert found["Reference"]["Bound"] < found["Champion"]["Bound"]
    read = evaluation.parse(json.dumps(document).encode(), DIGEST)
    assert read.attempt == 1
    assert read.against["Reference"].bound == found["Reference"]["Bound"]
    assert evaluation.parse(json.dumps(compared()).encode(), DIGEST).against == {}


def case(patient: str) -> Case:
    return Case(line=1, name="a", content_sha256="b", label="cap", split=Split.TEST, patient=patient)


def test_what_a_champion_has_seen_is_what_it_was_trained_on_and_chosen_by(tmp_path: Path) -> None:
    path = tmp_path / "champion-snapshot" / "snapshot.json"
    cases = [case(patient) for patient in "abcd"]
    assert unseen_by(path, cases)[0].all()
    assert not unseen_by(path, cases)[1]
    path.parent.mkdir()
    entries = [{"Patient": patient, "Split": part} for patient, part in zip("abc", Split, strict=True)]
    path.write_text(json.dumps({"Slices": entries, "Erased": {"Slices": 1, "At": "2026-11-29"}}))
    unseen, known = unseen_by(path, cases)
    assert (unseen.tolist(), known) == ([False, False, True, True], True)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Slices": [{"Patient": "a"}]}'])
def test_a_champions_snapshot_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "snapshot.json"
    path.write_text(text)
    with pytest.raises(SnapshotError, match="cannot be read"):
        unseen_by(path, [case("a")])


def test_what_a_champion_abstains_on_is_counted_on_the_patients_that_it_was_not_trained_on() -> None:
    unseen = CASES.patients >= 6
    abstaining = replace(models(0.85, 0.8)[1], abstained=np.ones(len(unseen), bool))
    document = compared(Champion=Rival(abstaining, unseen, known=True))
    assert document["Champion"]["Abstention"]["Abstained"] == int(unseen.sum())
