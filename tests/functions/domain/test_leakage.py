"""The data gate's rules, one finding at a time."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from functions.domain.audit import parse
from functions.domain.leakage import AcquisitionLimits, findings
from functions.domain.slices import LabelledSlice, Split
from functions.domain.snapshot import Snapshot, SplitBy
from functions.domain.verdict import Places, Reason, Risk
from tests.fakes.workflow import LABELS, acquisition, audit, audit_before

DIGEST = "ab" * 32
LIMITS = AcquisitionLimits(max_acquisition_p_value=0.01, min_acquisition_gain=0.1)

LINES = Places()


def sound() -> list[LabelledSlice]:
    """Return two patients of each class in each part, one slice each."""
    places = [(label, part, patient) for label in LABELS for part in Split for patient in range(2)]
    return [
        LabelledSlice(
            line=line,
            name=f"{line:032x}.dcm",
            version_id="v",
            content_sha256=f"{line:064x}",
            label=label,
            split=part,
            patient=f"{label} {part} {patient}",
            study_instance_uid=f"1.{line}",
            series_instance_uid=f"1.{line}.1",
        )
        for line, (label, part, patient) in enumerate(places, start=1)
    ]


def found(slices: list[LabelledSlice], places: Places = LINES, **changes: Any) -> list[Reason]:
    snapshot = Snapshot(digest=DIGEST, places=places, labels=LABELS, split_by=SplitBy.PATIENT, slices=tuple(slices))
    document = audit({"SnapshotDigest": DIGEST, "Slices": len(slices)}, **changes)
    return findings(snapshot, parse(json.dumps(document).encode(), DIGEST), LIMITS)


def codes(reasons: list[Reason]) -> list[str]:
    return [str(reason.code) for reason in reasons]


def test_sound_data_have_no_finding() -> None:
    assert found(sound()) == []


@pytest.mark.parametrize(
    ("field", "code", "said"),
    [
        ("patient", "PatientAcrossSplit", "1 patient has"),
        ("study_instance_uid", "StudyAcrossSplit", "1 study has"),
        ("series_instance_uid", "SeriesAcrossSplit", "1 series has"),
    ],
)
def test_what_is_in_two_parts_is_named_with_lines(field: str, code: str, said: str) -> None:
    slices = sound()
    # A slice more, in the test part, of a patient (study, series) of the training part.
    more = {
        "line": 99,
        "split": Split.TEST,
        "patient": "new",
        "study_instance_uid": "1.99",
        "series_instance_uid": "2.99",
    }
    slices.append(dataclasses.replace(slices[0], **more | {field: getattr(slices[0], field)}))  # type: ignore[arg-type]
    (reason,) = found(slices)
    assert reason.code == code
    assert said in reason.message
    assert "lines 1 and 99" in reason.message


def test_what_was_labelled_in_json_is_named_by_entries() -> None:
    slices = sound()
    more = {"line": 99, "split": Split.TEST, "study_instance_uid": "1.99", "series_instance_uid": "2.99"}
    slices.append(dataclasses.replace(slices[0], **more))  # type: ignore[arg-type]
    one = {"Count": 1, "Examples": [{"Line": 4, "Code": "Undecodable", "Message": "m"}]}
    twice = {"Count": 1, "Examples": [{"Lines": [1, 4], "Splits": ["train", "test"]}]}
    reasons = found(slices, Places(are_lines=False), Unreadable=one, Identical=twice)
    said = " ".join(reason.message for reason in reasons)
    assert "entries 1 and 99" in said
    assert "(entry 4)" in said
    assert "entries 1 and 4" in said


def test_slices_that_had_to_be_divided_one_by_one_need_more_patients() -> None:
    slices = [dataclasses.replace(one, patient=one.label) for one in sound()]
    snapshot = Snapshot(digest=DIGEST, places=Places(), labels=LABELS, split_by=SplitBy.SLICE, slices=tuple(slices))
    document = audit({"SnapshotDigest": DIGEST, "Slices": len(slices)})
    reasons = findings(snapshot, parse(json.dumps(document).encode(), DIGEST), LIMITS)
    assert codes(reasons) == ["PatientAcrossSplit", "TooFewPatients"]
    assert "3 patients have slices in more than one part" in reasons[0].message
    assert "label slices of at least three patients of each class" in reasons[0].message


def test_each_class_and_part_with_too_few_patients_is_named_in_one_reason() -> None:
    slices = [one for one in sound() if (one.label, one.split) != ("cap", Split.TEST)]
    slices = [one for one in slices if one.patient != "covid train 1"]
    (reason,) = found(slices)
    assert reason.code == Risk.TOO_FEW_PATIENTS
    assert "the test part has 0 with cap, the train part has 1 with covid. Each part needs 2" in reason.message


@pytest.mark.parametrize(
    ("name", "code"), [("Identical", "IdenticalPixelsAcrossSplit"), ("NearIdentical", "NearIdenticalPixelsAcrossSplit")]
)
def test_the_same_picture_in_two_parts_is_named_with_lines(name: str, code: str) -> None:
    (reason,) = found(sound(), **{name: {"Count": 9, "Examples": [{"Lines": [3, 17], "Splits": ["train", "test"]}]}})
    assert reason.code == code
    assert "9 time(s): lines 3 and 17" in reason.message


def test_pixels_that_cannot_be_decoded_are_named_with_lines() -> None:
    (reason,) = found(sound(), Unreadable={"Count": 1, "Examples": [{"Line": 4, "Code": "c", "Message": "m."}]})
    assert reason.code == "UndecodableSlice"
    assert "1 slice(s) cannot be decoded (line 4)" in reason.message


@pytest.mark.parametrize(
    ("balanced_accuracy", "p_value", "refused"),
    [(0.9, 0.001, True), (0.9, 0.01, True), (0.9, 0.02, False), (0.4, 0.001, False), (0.44, 0.001, True)],
)
def test_predictive_tags_are_reported_only_if_significant_and_above_chance(
    balanced_accuracy: float, p_value: float, refused: bool
) -> None:
    reasons = found(sound(), Acquisition=acquisition(balanced_accuracy, p_value))
    assert codes(reasons) == ["ClassPredictableFromAcquisition"] * refused
    assert all("most by KVP" in reason.message for reason in reasons)


def test_tags_that_could_not_be_judged_are_a_finding_too() -> None:
    (reason,) = found(sound(), Acquisition=acquisition(None, None))
    assert reason.code == "ClassPredictableFromAcquisition"


@pytest.mark.parametrize(
    ("subject", "says"),
    [
        ("Person", "Age and sex alone predict"),
        ("Position", "The slices' positions in the scan alone predict"),
        ("Background", "What surrounds the body in the picture alone predicts"),
    ],
)
def test_whatever_tells_the_classes_apart_without_the_lungs_is_a_finding(subject: str, says: str) -> None:
    (reason,) = found(sound(), **{subject: acquisition(0.9, 0.001)})
    assert reason.code == f"ClassPredictableFrom{subject}"
    assert reason.message.startswith(says)
    assert found(sound(), **{subject: acquisition(0.9, 0.02)}) == []


def test_one_patient_under_two_ids_is_named_with_lines() -> None:
    (reason,) = found(sound(), SamePatient={"Count": 2, "Examples": [{"Lines": [3, 17], "Splits": ["train", "test"]}]})
    assert reason.code == "SamePatientAcrossSplit"
    assert (
        "2 pair(s) of patients in different parts look like one patient under two ids (lines 3 and 17)"
        in reason.message
    )


def test_an_audit_that_could_refuse_nothing_says_so_and_what_would_be_enough() -> None:
    blind = acquisition(0.4, 0.3, AttainablePValue=0.104)
    (reason,) = found(sound(), Acquisition=blind, Person=blind)
    assert reason.code == "AuditUnderpowered"
    assert "With 6 patient(s) with normal" in reason.message
    assert "p = 0.10, and 0.01 is needed. 4 patients of each class are enough." in reason.message


def test_an_audit_of_the_release_before_is_judged_by_what_it_knew() -> None:
    slices = sound()
    snapshot = Snapshot(digest=DIGEST, places=LINES, labels=LABELS, split_by=SplitBy.PATIENT, slices=tuple(slices))
    document = audit_before({"SnapshotDigest": DIGEST, "Slices": len(slices)})
    assert findings(snapshot, parse(json.dumps(document).encode(), DIGEST), LIMITS) == []


def test_an_audit_of_other_slices_is_malformed() -> None:
    (reason,) = found(sound(), Slices=3)
    assert reason.code == "MalformedAudit"
