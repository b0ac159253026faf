"""The worst cases are the most confident mistakes, named by their lines, with a picture each."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from model_code import snapshot
from model_code.evaluation import document as evaluating
from model_code.evaluation import worst
from model_code.evaluation.pictures import BurnedIn, ReportPictures
from model_code.evaluation.report.png import SIGNATURE
from model_code.evaluation.worst import worst_cases
from model_code.snapshot import Split
from tests.phi_leak import with_elements
from tests.snapshots import Labelled, phantom_slices, write_snapshot
from wetread.demo.phantoms import phantom_bytes

LABELS = ("normal", "cap", "covid")


def test_only_mistakes_the_worst_first(tmp_path: Path) -> None:
    found = snapshot.read(write_snapshot(tmp_path, phantom_slices()))
    cases = found.of(Split.TEST)
    targets = np.array([LABELS.index(case.label) for case in cases])
    assert targets.tolist() == [0, 0, 1, 1, 2, 2]
    probabilities = np.array(
        [[0.9, 0.1, 0.0], [0.3, 0.5, 0.2], [0.2, 0.8, 0.0], [0.95, 0.05, 0.0], [0.1, 0.0, 0.9], [0.4, 0.3, 0.3]]
    )
    predictions = evaluating.Predictions({}, 1.0, probabilities, probabilities)
    test = evaluating.TestSet(LABELS, targets, np.repeat([0, 1, 2], 2), {})
    shown = worst_cases(cases, test, predictions, tmp_path / "slices", ReportPictures.IF_NO)
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
    predictions = evaluating.Predictions({}, 1.0, probabilities, probabilities)
    shown = worst_cases(cases, test, predictions, tmp_path / "slices", ReportPictures.NEVER)
    assert len(cases) == 24
    assert len(shown) == worst.MOST == 12


STATED = {
    "NO": BurnedIn.NO,
    "NO ": BurnedIn.NO,
    "YES": BurnedIn.YES,
    "": BurnedIn.ABSENT,
    "no": BurnedIn.OTHER,
    "YES\\NO": BurnedIn.OTHER,
    "NO\\NO": BurnedIn.OTHER,
    "Doe^Jane": BurnedIn.OTHER,
    "NO" + 5000 * " ": BurnedIn.OTHER,
}
SHOWN = {
    ReportPictures.IF_NO: {BurnedIn.NO},
    ReportPictures.UNLESS_YES: {BurnedIn.NO, BurnedIn.ABSENT},
    ReportPictures.NEVER: set(),
}


@pytest.mark.parametrize("pictures", ReportPictures)
def test_a_picture_is_shown_only_where_the_object_and_the_stage_allow_it(
    tmp_path: Path, pictures: ReportPictures
) -> None:
    sound = phantom_bytes("cap", 0, 0, size=64)
    objects = [with_elements(sound, {"BurnedInAnnotation": text}) for text in STATED]
    stated = list(STATED.values())
    without = dcmread(io.BytesIO(sound))
    del without.BurnedInAnnotation
    for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        without.file_meta.TransferSyntaxUID = syntax
        without.save_as(buffer := io.BytesIO(), implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
        objects += [buffer.getvalue(), with_elements(buffer.getvalue(), {"BurnedInAnnotation": "YES"})]
        stated += [BurnedIn.ABSENT, BurnedIn.YES]
    found = snapshot.read(write_snapshot(tmp_path, [Labelled(one, "cap", "P", "test") for one in objects]))
    shown = []
    for case in found.cases:
        test = evaluating.TestSet(LABELS, np.array([1]), np.array([0]), {})
        wrong = np.array([[0.9, 0.1, 0.0]])
        predictions = evaluating.Predictions({}, 1.0, wrong, wrong)
        shown += worst_cases([case], test, predictions, tmp_path / "slices", pictures)
    assert [one.burned_in for one in shown] == stated
    assert [bool(one.picture) for one in shown] == [one in SHOWN[pictures] for one in stated]
