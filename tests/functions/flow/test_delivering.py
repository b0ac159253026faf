"""DICOM results of closed studies, over the AWS in memory: what is made, when, and why not."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from functions.aws.announcements import Announcements
from functions.aws.deliveries import Deliveries, Delivery, announced
from functions.aws.events import ObjectCreated
from functions.aws.objects import Documents
from functions.dicom_results.refused import NoResultsCode
from functions.dicom_results.stage import Kind
from functions.domain import layout
from functions.domain.errors import MalformedEvent, NotAnnounced, Refusal, RefusalCode
from functions.domain.row import Row, Status
from functions.flow import delivering as flow
from functions.flow.delivering import Delivering
from functions.flow.originals import Originals
from functions.flow.rejecting import Rejecting
from functions.names import REVISION_EVENTS, StudyEvent
from tests.fakes.dicom import STUDY
from tests.fakes.reading_room import LESION, SERIES, ReadingRoom
from tests.fakes.wire import client_error
from tests.fakes.world import RESULTS, UPLOADS
from tests.functions.dicom_results.studies import PATIENT, STAGE


class Clinic(ReadingRoom):
    """A reading room that delivers DICOM results of what it closes."""

    def __init__(self, **world: Any) -> None:
        super().__init__(**world)
        self.handled = 0
        self.deliveries = Deliveries(self.clients["dynamodb"], "studies")
        results = Documents(self.clients["s3"], RESULTS)
        self.delivering = Delivering(
            studies=self.studies,
            index=self.index,
            deliveries=self.deliveries,
            results=results,
            originals=Originals(uploads=self.uploads, keys=None),
            rejecting=Rejecting(
                studies=self.studies, deliveries=self.deliveries, champions=self.champions, results=results
            ),
            announcements=Announcements(self.clients["events"], "wetread", RESULTS),
            stage=STAGE,
            kinds=tuple(Kind),
            clock=self.clock,
        )

    def take(self, *numbers: int, **attributes: Any) -> list[ObjectCreated]:
        """Send slices of a patient, let them be read, and close the study."""
        events = [self.send(n, LESION, **(PATIENT | attributes)) for n in numbers]
        self.deliver(*events)
        self.read()
        self.sweep()
        return events

    def announced(self) -> list[str]:
        """Return the events that were not handled yet, as their queue delivers them."""
        waiting = [one for one in self.events.put[self.handled :] if one["DetailType"] in REVISION_EVENTS]
        self.handled = len(self.events.put)
        return [json.dumps({"detail": one["Detail"]}) for one in waiting]

    def results(self) -> list[Delivery | None]:
        """Handle every event."""
        return [self.delivering.deliver(announced(one)) for one in self.announced()]

    def stored(self) -> dict[str, Dataset]:
        """Return the DICOM results in the bucket, by the end of their keys."""
        return {
            key.rpartition("/")[2]: dcmread(io.BytesIO(body))
            for (bucket, key), body in self.s3.objects.items()
            if bucket == RESULTS and key.startswith("dicom/")
        }


@pytest.fixture
def clinic() -> Clinic:
    return Clinic()


def test_a_closed_study_gets_its_results_below_one_prefix(clinic: Clinic) -> None:
    clinic.take(1, 2, 3, SeriesNumber=301)
    (delivery,) = clinic.results()
    assert delivery is not None
    stored = clinic.stored()
    assert stored.keys() == {"000001-sr.dcm", "000001-card.dcm", "000001-keys.dcm"}
    assert {str(one.PatientName) for one in stored.values()} == {PATIENT["PatientName"]}
    assert {one.StudyInstanceUID for one in stored.values()} == {STUDY}
    last = stored["000001-keys.dcm"].ContentSequence[-3:]
    named = {one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in last}
    assert named == {f"{SERIES}.{n}" for n in (1, 2, 3)}
    (kept,) = clinic.deliveries.of_study(STUDY)
    assert kept.keys.keys() == {"sr", "card", "keys"}
    assert all((RESULTS, key) in clinic.s3.objects for key in kept.keys.values())


def ready(clinic: Clinic) -> list[dict[str, Any]]:
    """Return what was announced of results."""
    return [one["Detail"] for one in clinic.events.put if one["DetailType"] == StudyEvent.RESULTS]


def test_results_are_announced_when_they_are_in_the_bucket_without_a_uid(clinic: Clinic) -> None:
    clinic.take(1, 2)
    assert ready(clinic) == []
    clinic.results()
    (detail,) = ready(clinic)
    study = layout.study_hash(STUDY)
    assert detail == {
        "Id": f"{study}-000001-results",
        "Service": "wetread",
        "Study": study,
        "Revision": 1,
        "ResultsBucket": RESULTS,
        "Keys": [f"dicom/{study}/000001-{kind}.dcm" for kind in ("card", "keys", "sr")],
    }
    assert all((RESULTS, key) in clinic.s3.objects for key in detail["Keys"])


def test_a_revision_without_results_is_not_announced_as_one_with_them(clinic: Clinic) -> None:
    clinic.take(1, SOPInstanceUID=None)
    (delivery,) = clinic.results()
    assert delivery is not None
    assert delivery.code == NoResultsCode.REPAIRED_IDENTITY
    assert ready(clinic) == []


def test_results_that_eventbridge_does_not_take_are_announced_by_the_next_try(clinic: Clinic) -> None:
    clinic.take(1)
    (event,) = clinic.announced()
    clinic.events.refusing = "ThrottlingException"
    with pytest.raises(NotAnnounced):
        clinic.delivering.deliver(announced(event))
    clinic.events.refusing = ""
    clinic.delivering.deliver(announced(event))
    assert len(ready(clinic)) == 1


def test_a_series_is_named_by_its_number_in_the_archive(clinic: Clinic) -> None:
    clinic.take(1, 2, SeriesNumber=301)
    clinic.results()
    texts = [one.TextValue for one in _tree(clinic.stored()["000001-sr.dcm"]) if one.ValueType == "TEXT"]
    assert "series 301: covid" in texts


def test_a_repeated_announcement_changes_nothing(clinic: Clinic) -> None:
    clinic.take(1)
    (event,) = clinic.announced()
    clinic.delivering.deliver(announced(event))
    before = dict(clinic.s3.objects)
    clinic.delivering.deliver(announced(event))
    assert clinic.s3.objects == before
    assert len(clinic.deliveries.of_study(STUDY)) == 1


def test_the_next_revision_names_the_last_that_was_delivered(clinic: Clinic) -> None:
    clinic.take(1)
    clinic.results()
    clinic.take(2)
    clinic.announced()  # never delivered
    clinic.take(3)
    clinic.results()
    stored = clinic.stored()
    assert stored.keys() >= {"000001-sr.dcm", "000003-sr.dcm"}
    (series,) = stored["000003-sr.dcm"].PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == stored["000001-sr.dcm"].SOPInstanceUID


def test_an_event_that_is_late_names_no_later_revision_as_its_predecessor(clinic: Clinic) -> None:
    clinic.take(1)
    (late,) = clinic.announced()
    clinic.take(2)
    clinic.results()
    clinic.delivering.deliver(announced(late))
    assert "PredecessorDocumentsSequence" not in clinic.stored()["000001-sr.dcm"]


def test_a_revision_without_a_report_is_no_predecessor(clinic: Clinic) -> None:
    delivering = clinic.delivering
    clinic.delivering = replace(delivering, kinds=(Kind.CARD,))
    clinic.take(1)
    clinic.results()
    clinic.delivering = delivering
    clinic.take(2)
    clinic.results()
    assert "PredecessorDocumentsSequence" not in clinic.stored()["000002-sr.dcm"]


def test_a_document_that_no_revision_has_gets_no_results(clinic: Clinic) -> None:
    clinic.take(1)
    (event,) = clinic.announced()
    key = announced(event)
    clinic.s3.objects[RESULTS, f"{key}-other"] = clinic.s3.objects[RESULTS, key]
    assert clinic.delivering.deliver(f"{key}-other") is None, "of a closing that was overtaken"
    del clinic.s3.objects[RESULTS, key]
    assert clinic.delivering.deliver(key) is None, "erased"
    assert not clinic.stored()


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"SOPInstanceUID": None}, NoResultsCode.REPAIRED_IDENTITY),
        ({"PatientID": ["1", "2"]}, NoResultsCode.UNUSABLE_IDENTITY),
    ],
)
def test_an_identity_that_archives_do_not_know_ends_in_a_code(
    clinic: Clinic, attributes: dict[str, Any], code: NoResultsCode
) -> None:
    clinic.take(1, **attributes)
    (delivery,) = clinic.results()
    assert delivery is not None
    assert (delivery.code, delivery.keys) == (code, {})
    (kept,) = clinic.deliveries.of_study(STUDY)
    assert (kept.code, bool(kept.reason)) == (code, True)
    assert not clinic.stored()


@pytest.mark.parametrize(
    "attributes",
    [
        {"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"},
        {"Modality": "SR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]},
    ],
)
def test_a_study_of_what_is_not_served_or_does_not_count_has_no_results(
    clinic: Clinic, attributes: dict[str, Any]
) -> None:
    clinic.take(1, 2, **attributes)
    assert clinic.document()["Code"] == "NothingRead"
    (delivery,) = clinic.results()
    assert delivery is not None
    assert (delivery.code, delivery.keys) == (NoResultsCode.NO_SCORES, {})


def test_an_upload_that_is_gone_ends_in_a_code(clinic: Clinic) -> None:
    (event,) = clinic.take(1)
    del clinic.s3.versions[UPLOADS, event.key, event.version_id]
    (delivery,) = clinic.results()
    assert delivery is not None
    assert delivery.code == NoResultsCode.HEADER_GONE


def test_an_upload_that_s3_does_not_give_ends_in_a_code(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.take(1)

    def archived(*_: Any) -> None:
        raise Refusal(RefusalCode.ARCHIVED, "It is archived.")

    monkeypatch.setattr(Originals, "header", archived)
    (delivery,) = clinic.results()
    assert delivery is not None
    assert delivery.code == NoResultsCode.HEADER_UNREADABLE


def test_of_many_series_the_numbers_of_some_are_looked_up(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    most, read, seen = 3, Originals.header, []
    monkeypatch.setattr(flow, "MOST_NUMBERS", most)

    def header(self: Originals, row: Row, wanted: Any) -> Any:
        seen.append(row.series_instance_uid)
        return read(self, row, wanted)

    monkeypatch.setattr(Originals, "header", header)
    clinic.deliver(*(clinic.send(1, LESION, series=f"{SERIES}.{n}", **PATIENT) for n in range(most + 2)))
    clinic.read()
    clinic.sweep()
    clinic.results()
    assert len(seen) == 1 + most, "the reference, and one of each series"


def test_a_series_without_a_number_is_named_by_its_place(clinic: Clinic) -> None:
    clinic.take(1)
    clinic.results()
    texts = [one.TextValue for one in _tree(clinic.stored()["000001-sr.dcm"]) if one.ValueType == "TEXT"]
    assert "unnumbered series 1: covid" in texts


def test_a_stage_that_does_not_ask_for_heat_has_no_word_of_it(clinic: Clinic) -> None:
    clinic.delivering = replace(clinic.delivering, kinds=(Kind.SR,))
    clinic.take(1)
    (delivery,) = clinic.results()
    assert delivery is not None
    assert (delivery.keys.keys(), delivery.undrawn) == ({"sr"}, {})


def test_another_object_under_the_key_is_not_taken_for_the_patient(clinic: Clinic) -> None:
    (event,) = clinic.take(1)
    another = clinic.send(2, PatientName="Other^One")
    other = clinic.s3.versions[UPLOADS, another.key, another.version_id]
    clinic.s3.versions[UPLOADS, event.key, event.version_id] = other
    (delivery,) = clinic.results()
    assert delivery is not None
    assert delivery.code == NoResultsCode.HEADER_GONE


def test_a_study_that_is_erased_while_it_is_delivered_keeps_no_results(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.take(1)
    made = flow.making.results_of

    def erased_meanwhile(*arguments: Any) -> Any:
        for row in clinic.rows():
            clinic.dynamodb.tables["index"][row.upload_id]["Status"] = {"S": Status.ERASED}
        return made(*arguments)

    monkeypatch.setattr(flow.making, "results_of", erased_meanwhile)
    (delivery,) = clinic.results()
    assert delivery is not None
    assert (delivery.code, delivery.keys) == (NoResultsCode.ROWS_GONE, {})
    assert not clinic.stored()
    assert not clinic.deliveries.of_study(STUDY)


def test_a_study_that_is_erased_before_its_code_is_kept_keeps_none(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.take(1, Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    keep = clinic.deliveries.keep

    def erased_meanwhile(*arguments: Any) -> None:
        for row in clinic.rows():
            clinic.dynamodb.tables["index"][row.upload_id]["Status"] = {"S": Status.ERASED}
        keep(*arguments)

    monkeypatch.setattr(clinic.deliveries, "keep", erased_meanwhile)
    (delivery,) = clinic.results()
    assert delivery is not None
    assert delivery.code == NoResultsCode.ROWS_GONE
    assert not clinic.deliveries.of_study(STUDY)


def test_aws_trouble_is_tried_again(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.take(1)
    (event,) = clinic.announced()
    with monkeypatch.context() as patch:
        patch.setattr(clinic.s3, "get_object", _fail)
        with pytest.raises(Exception, match="SlowDown"):
            clinic.delivering.deliver(announced(event))
    delivery = clinic.delivering.deliver(announced(event))
    assert delivery is not None
    assert delivery.keys


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"detail": {"ResultKey": 7}}', '{"detail": {"ResultKey": "dicom/1.dcm"}}']
)
def test_a_message_that_names_no_revision_is_refused(body: str) -> None:
    with pytest.raises(MalformedEvent):
        announced(body)


def test_nothing_of_the_patient_is_in_the_table_or_the_log(clinic: Clinic, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clinic.take(1)
    clinic.results()
    tables = json.dumps(clinic.dynamodb.tables, default=str) + caplog.text
    assert not [one for one in ("QWX-4711", "Jörg", "19600101", "Referrer") if one in tables]


def _fail(**_request: Any) -> None:
    raise client_error("SlowDown", 503)


def _tree(dataset: Dataset) -> list[Dataset]:
    found: list[Dataset] = []
    for item in dataset.get("ContentSequence", []):
        found += [item, *_tree(item)]
    return found
