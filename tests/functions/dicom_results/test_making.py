"""Results are the same each time, say what they copy, and never say a patient's text elsewhere."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace

import pytest
from pydicom.uid import EncapsulatedPDFStorage

from functions.dicom_results import making
from functions.dicom_results.card import lines
from functions.dicom_results.instances import Subject
from functions.dicom_results.making import results_of, withdrawal_of
from functions.dicom_results.refused import SENTENCES, NoResultsCode
from functions.dicom_results.stage import REJECTION, Kind
from functions.domain.errors import NoResults
from tests.functions.dicom_results.studies import PATIENT, SERIES, STAGE, STUDY, dataset, image, made, read, subject
from tests.phi_leak import with_elements

CANARIES = ("ller", "rg", "QWX-4711", "19600101", "A1", "Referrer", "Clinic")


def test_a_second_run_makes_the_same_bytes() -> None:
    assert made() == made()


def test_uids_differ_by_stage_study_kind_and_revision() -> None:
    other = replace(STAGE, identity="wetread-results-2")
    runs = [made(), made(revision=2), made(stage=other), made(study_uid="1.2.3")]
    found = [dataset(body).SOPInstanceUID for run in runs for body in run.values()]
    assert len(set(found)) == len(found)
    series = [{dataset(body).SeriesInstanceUID for body in run.values()} for run in runs]
    assert series[0] == series[1], "revisions are instances of one series"
    assert not series[0] & series[2]
    assert all(one.startswith("2.25.") for one in found)


@pytest.mark.parametrize("kind", Kind)
def test_every_result_has_the_patient_the_study_and_the_model(kind: Kind) -> None:
    (name, number) = ("heat-2", 12) if kind == Kind.HEAT else (kind, 1)
    found = dataset(made()[name])
    expected = {keyword: value for keyword, value in PATIENT.items() if keyword != "BodyPartExamined"}
    assert {keyword: str(found[keyword].value) for keyword in expected} == expected
    assert found.StudyInstanceUID == STUDY
    assert (found.InstanceNumber, found.SeriesNumber) == (number, STAGE.series_number(kind))
    assert found.SeriesDescription == "AI chest-ct (research, unverified)"
    assert (found.Manufacturer, found.ManufacturerModelName) == ("wetread project", "wetread")
    assert (found.SoftwareVersions, found.DeviceSerialNumber) == ("0.1.0", "7")
    equipment = found.ContributingEquipmentSequence[0]
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert (equipment.ManufacturerModelName, equipment.SoftwareVersions) == ("chest-ct", "7")
    assert equipment.DeviceUID.startswith("2.25.")
    assert (found.InstanceCreationDate, found.InstanceCreationTime) == ("20260102", "113015")


@pytest.mark.parametrize(
    ("zone", "date", "time"),
    [("-0530", "20260102", "060015"), ("+0530", "20260102", "170015"), ("+1400", "20260103", "013015")],
)
def test_times_are_in_the_zone_of_the_study(zone: str, date: str, time: str) -> None:
    found = dataset(made(image(0, 1, TimezoneOffsetFromUTC=zone))["sr"])
    assert (found.ContentDate, found.ContentTime, found.TimezoneOffsetFromUTC) == (date, time, zone)


def test_only_a_picture_has_the_time_of_a_capture() -> None:
    found = {name: "DateOfSecondaryCapture" in dataset(body) for name, body in made().items()}
    assert {name for name, is_there in found.items() if is_there} == {"card", "heat-1", "heat-2", "heat-3"}


def test_texts_of_a_model_with_a_long_name_are_as_long_as_dicom_lets_them_be() -> None:
    found = dataset(made(model=replace(read().model, name="m" * 63))["sr"])
    assert found.SeriesDescription == f"AI {'m' * 61}"
    assert found.ContributingEquipmentSequence[0].ManufacturerModelName == "m" * 63


def test_each_slice_is_evidence_of_the_report_once() -> None:
    (study,) = dataset(made()["sr"]).CurrentRequestedProcedureEvidenceSequence
    named = [
        one.ReferencedSOPInstanceUID for each in study.ReferencedSeriesSequence for one in each.ReferencedSOPSequence
    ]
    assert sorted(named) == sorted(one.sop_uid for one in read().members)


def test_only_the_kinds_that_are_asked_for_are_made_the_report_first() -> None:
    assert [one.kind for one in results_of(subject(), (Kind.KEYS, Kind.SR))] == [Kind.SR, Kind.KEYS]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"findings": ()}, NoResultsCode.NO_SCORES),
        ({"findings": (replace(read().findings[0], evidence=()),)}, NoResultsCode.NO_EVIDENCE),
        (
            {"members": (replace(read().members[0], sop_class_uid=EncapsulatedPDFStorage),)},
            NoResultsCode.SOP_CLASS_UNKNOWN,
        ),
        ({"members": read().members[:1]}, NoResultsCode.NOT_MADE),
    ],
)
def test_what_cannot_be_made_has_a_code(changes: dict[str, object], code: NoResultsCode) -> None:
    with pytest.raises(NoResults) as refused:
        results_of(subject(**changes), tuple(Kind))
    assert refused.value.code == code


def test_every_code_has_a_sentence() -> None:
    assert SENTENCES.keys() == set(NoResultsCode)


def test_an_object_that_cannot_be_made_shows_no_text_of_the_header(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(one: Subject) -> None:
        raise ValueError(f"bad value {one.reference.PatientName}")

    monkeypatch.setattr(making, "_MAKERS", {Kind.SR: fail})
    with pytest.raises(NoResults) as refused:
        results_of(subject(), (Kind.SR,))
    assert refused.value.__context__ is None
    shown = f"{refused.value} {caplog.text} {[record.__dict__ for record in caplog.records]}"
    assert "ValueError" in shown
    assert not [one for one in ("ller^J", "QWX-4711") if one in shown]


def test_libraries_warn_and_log_nothing_of_an_odd_header(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    odd = {"PatientName": "Qwxzelda", "PatientID": "QWX" * 40, "AccessionNumber": "QWX" * 20, "StudyID": "QWX" * 9}
    body = with_elements(image(0, 1), odd)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made(body)
    assert "QWX" not in caplog.text.upper()
    assert not [str(one.message) for one in caught if "QWX" in str(one.message).upper()]


def test_no_text_of_the_patient_is_drawn() -> None:
    drawn = " ".join(text for text, _, _ in lines(read()))
    assert not [one for one in (*CANARIES[2:], "Müller") if one in drawn]


def test_a_rejection_names_every_delivered_result_of_the_revisions() -> None:
    delivered = {"sr": (1, 2), "card": (1,), "keys": (2,), "heat-1": (1, 2), "heat-3": (2,)}
    found = dataset(withdrawal_of(subject(revision=3), delivered).body)
    assert found.ConceptNameCodeSequence[0].CodeValue == "113001"
    named = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in found.ContentSequence
        if "ReferencedSOPSequence" in item
    }
    one, two = made(revision=1), made(revision=2)
    rejected = [
        *(one[name] for name in ("sr", "card", "heat-1")),
        *(two[name] for name in ("sr", "keys", "heat-1", "heat-3")),
    ]
    assert named == {dataset(body).SOPInstanceUID for body in rejected}
    assert found.SeriesNumber == STAGE.series_number(REJECTION) == 9904
    assert SERIES[0] not in named
