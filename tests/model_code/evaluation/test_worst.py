"""The worst cases are the most confident mistakes, named by their lines, with a picture each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from model_code import snapshot
from model_code.evaluation import document as evaluating
from model_code.evaluation import worst
from model_code.evaluation.report.png import SIGNATURE
from model_code.evaluation.worst import worst_cases
from model_code.snapshot import Split
from tests.snapshots import phantom_slices, write_snapshot

LABELS = ("normal", "cap", "covid")


def test_only_mistakes_the_worst_first(tmp_path: Path) -> None:
    found = snapshot.read(write_snapshot(tmp_path, phantom_slices()))
    cases = found.of(Split.TEST)
    targets = np.array([LABELS.index(case.label) for case in cases])
    assert targets.tolist() == [0, 0, 1, 1, 2, 2]
    probabilities = np.array(
        [[0.9, 0.1, 0.0], [0.3, 0.5, 0.2], [0.2, 0.8, 0.0], [0.95, 0.05, 0.0], [0.1, 0.0, 0.9], [0.4, 0.3, 0.3]]
    )
    answers = evaluating.Answers({}, 1.0, probabilities, probabilities)
    test = evaluating.TestSet(LABELS, targets, np.repeat([0, 1, 2], 2), {})
    shown = worst_cases(cases, test, answers, tmp_path / "slices")
    assert [(one.line, one.truth, one.predicted) for one in shown] == [
        (cases[3].line, "cap", "normal"),
        (cases[1].line, "normal", "cap"),
        (cases[5].line, "covid", "normal"),
    ]
    assert [(one.truth_probability, one.predicted_probability) for one in shown] == [
        (0.05, 0.95),
        (0.3, 0.5),
        (0.3, 0.4),
    ]
    assert all(one.picture.startswith(SIGNATURE) and len(one.picture) > 5_000 for one in shown)
    assert len({one.picture for one in shown}) == 3


def test_a_bad_model_shows_no_more_than_a_page(tmp_path: Path) -> None:
    found = snapshot.read(write_snapshot(tmp_path, phantom_slices(patients=9, slices_per_patient=8)))
    cases = found.of(Split.TEST)
    targets = np.array([LABELS.index(case.label) for case in cases])
    probabilities = np.eye(3)[(targets + 1) % 3]
    test = evaluating.TestSet(LABELS, targets, np.arange(len(cases)), {})
    shown = worst_cases(cases, test, evaluating.Answers({}, 1.0, probabilities, probabilities), tmp_path / "slices")
    assert len(cases) == 24
    assert len(shown) == worst.MOST == 12
