"""Cases become studies: by patient and StudyInstanceUID, with one label or none."""

from __future__ import annotations

import numpy as np
import pytest

from model_code.snapshot import Case, Split
from model_code.studies import Said, label_of, studies_of

LABELS = ("normal", "cap", "covid")


def case(line: int, label: str = "normal", *, patient: str = "p", study: str = "1", study_label: str = "") -> Case:
    return Case(
        line=line,
        name=f"{line:032x}.dcm",
        content_sha256="",
        label=label,
        split=Split.TEST,
        patient=patient,
        study=study,
        series="1.1",
        study_label=study_label,
    )


@pytest.mark.parametrize(
    ("labels", "of_study", "expected"),
    [
        (["normal", "normal"], "", "normal"),
        (["normal", "covid", "normal"], "", "covid"),
        (["cap", "covid"], "", None),
        (["normal", ""], "covid", "covid"),
        (["covid", ""], "covid", "covid"),
        (["covid"], "normal", None),
        (["cap"], "covid", None),
        ([""], "", None),
    ],
)
def test_the_label_of_a_study(labels: list[str], of_study: str, expected: str | None) -> None:
    cases = [case(line, label, study_label=of_study) for line, label in enumerate(labels, start=1)]
    assert label_of(cases, "normal") == expected


def test_two_labels_of_one_study_contradict_each_other() -> None:
    assert label_of([case(1, "", study_label="cap"), case(2, "", study_label="covid")], "normal") is None


def test_studies_are_of_one_patient_and_in_the_order_of_their_lines() -> None:
    cases = [
        case(3, study="2"),
        case(1, study="1"),
        case(2, "covid", study="2"),
        case(4, study="1", patient="q"),
    ]
    probabilities = np.arange(12, dtype=np.float64).reshape(4, 3)
    found = studies_of(cases, Said(probabilities, [0.0, None, 1.0, 2.0]), LABELS, "normal")
    assert [(one.line, one.patient, one.label, len(one.slices)) for one in found] == [
        (1, "p", "normal", 1),
        (2, "p", "covid", 2),
        (4, "q", "normal", 1),
    ]
    assert found[1].slices[1].probabilities == {"normal": 6.0, "cap": 7.0, "covid": 8.0}
    assert found[1].slices[1].position == 1.0
