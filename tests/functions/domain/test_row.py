"""Rows under the index's names, there and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from functions.aws.items import from_item, to_item
from functions.domain.row import NAMES, Row, Status, moment_of, timestamp

FULL = Row(
    upload_id="u",
    key="a b+ü.dcm",
    version_id="v",
    size=7,
    received_at="2026-11-23T00:00:00.000Z",
    updated_at="2026-11-23T00:00:00.000Z",
    status=Status.COMPLETED,
    study_instance_uid="1.2",
    repairs=("one", "two"),
    rows=512,
    probabilities={"covid": 0.75, "cap": 0.25, "normal": 0.0},
    timings_ms={"Decode": 8.0},
)


def test_names_are_the_dicom_keywords() -> None:
    assert NAMES["study_instance_uid"] == "StudyInstanceUID"
    assert NAMES["sop_class_uid"] == "SOPClassUID"
    assert NAMES["transfer_syntax_uid"] == "TransferSyntaxUID"
    assert NAMES["content_sha256"] == "ContentSHA256"
    assert NAMES["upload_id"] == "UploadId"


def test_a_row_survives_the_table() -> None:
    assert Row.from_json(from_item(to_item(FULL.to_json()))) == FULL


def test_absent_values_are_absent_so_that_indexes_stay_sparse() -> None:
    document = FULL.to_json()
    assert "PredictedClass" not in document
    assert "Code" not in document


def test_an_upload_waits_since_it_arrived_or_was_requeued() -> None:
    assert FULL.waits_since == FULL.received_at
    assert FULL.instance_name == "u.dcm"
    again = replace(FULL, requeued_at="2026-11-24T00:00:00.000Z")
    assert again.waits_since == again.requeued_at
    assert again.instance_name == "u-20261124000000000.dcm"
    assert Row.from_json(again.to_json()) == again


def test_timestamps_sort_as_time_does() -> None:
    moment = datetime(2026, 11, 23, 8, 0, 0, 123999, tzinfo=timezone(timedelta(hours=1)))
    assert timestamp(moment) == "2026-11-23T07:00:00.123Z"
    assert moment_of(timestamp(moment)) == datetime(2026, 11, 23, 7, 0, 0, 123000, tzinfo=UTC)
    assert timestamp(moment) < timestamp(moment + timedelta(milliseconds=1))
