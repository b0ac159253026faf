"""Rows as a table, as JSON and as CSV."""

import csv
import io
import json

import pytest

from functions.aws.patients import Patients
from functions.domain.instance import as_uid
from functions.domain.row import NAMES, Status
from functions.names import IndexName
from tests.fakes.services import FakeKMS
from wetread.formats import CSV_COLUMNS


@pytest.fixture
def rows(connection, completed, pending):
    connection.index.rows += [
        completed(key="ward/a.dcm", timings_ms={"inference": 12.5}),
        completed(key="ward/b.dcm", predicted_class="cap"),
        pending(key="ward/[red]c\x1b[2J.dcm", status=Status.REFUSED, code="NotDicom", reason="No, it is not."),
    ]
    return connection.index.rows


def test_the_newest_stand_first_in_the_table(wetread, rows) -> None:
    result = wetread("results")
    assert result.exit_code == 0
    order = [result.stdout.index(text) for text in ("NotDicom", "ward/b.dcm", "ward/a.dcm")]
    assert order == sorted(order)
    assert "62.5 %" in result.stdout


def test_a_study_that_the_service_maps_by_its_key_is_asked_for_as_the_file_says_it(
    wetread, connection, completed
) -> None:
    connection.patients = Patients(FakeKMS(), "key")
    uid = as_uid("004711", connection.patients.uuid_of)
    connection.index.rows += [completed(key="theirs.dcm", study_instance_uid=uid), completed(key="other.dcm")]
    shown = wetread("results", "--study", "004711", "--json").stdout
    assert [row["Key"] for row in json.loads(shown)] == ["theirs.dcm"]


def test_people_read_why_something_was_refused(wetread, rows) -> None:
    assert "NotDicom: No, it is not." in wetread("results", "--status", "refused").stderr


def test_a_key_is_shown_as_it_is_but_for_control_characters(wetread, rows) -> None:
    shown = wetread("results").stdout
    assert "[red]c\N{REPLACEMENT CHARACTER}[2J.dcm" in shown
    assert "\x1b" not in shown


def test_json_holds_complete_rows(wetread, rows) -> None:
    documents = json.loads(wetread("results", "--json").stdout)
    assert documents == [row.to_json() for row in reversed(rows)]


def test_csv_has_a_column_for_all_that_a_row_may_hold_and_new_ones_come_last() -> None:
    assert set(CSV_COLUMNS) == {*NAMES.values(), "Probability"}
    assert CSV_COLUMNS[:4] == ("UploadId", "Key", "VersionId", "ReceivedAt")
    assert CSV_COLUMNS[17] == "Repairs"


def test_csv_holds_complete_rows(wetread, rows) -> None:
    lines = list(csv.DictReader(io.StringIO(wetread("results", "--csv").stdout)))
    assert [line["Key"] for line in lines] == [row.key for row in reversed(rows)]
    assert lines[0]["Reason"] == "No, it is not."
    assert lines[2]["Probability"] == "0.625"
    assert lines[2]["Size"] == "1000"
    assert json.loads(lines[2]["Probabilities"]) == {"normal": 0.125, "cap": 0.25, "covid": 0.625}
    assert json.loads(lines[2]["TimingsMs"]) == {"inference": 12.5}
    assert (lines[0]["Probabilities"], lines[0]["TimingsMs"]) == ("", "")


def test_a_withdrawn_result_is_marked_everywhere(wetread, connection, completed) -> None:
    connection.index.rows += [completed(key="a.dcm"), completed(key="b.dcm", withdrawn_at="2026-11-23T09:00:00.000Z")]
    result = wetread("results")
    marked = [line for line in result.stdout.splitlines() if "WITHDRAWN" in line]
    assert ["b.dcm" in line for line in marked] == [True]
    assert "wetread/3" in result.stderr
    assert "withdrawn" in result.stderr
    withdrawn = {one["Key"]: one.get("WithdrawnAt") for one in json.loads(wetread("results", "--json").stdout)}
    assert withdrawn == {"a.dcm": None, "b.dcm": "2026-11-23T09:00:00.000Z"}
    lines = list(csv.DictReader(io.StringIO(wetread("results", "--csv").stdout)))
    assert [(line["Key"], line["WithdrawnAt"]) for line in lines] == [
        ("b.dcm", "2026-11-23T09:00:00.000Z"),
        ("a.dcm", ""),
    ]


def test_conditions_are_passed_on(wetread, connection, rows) -> None:
    documents = json.loads(wetread("results", "--class", "cap", "--status", "completed", "--json").stdout)
    assert [document["Key"] for document in documents] == ["ward/b.dcm"]
    assert connection.index.asked == [IndexName.BY_CLASS]


def test_a_limit_says_that_there_is_more(wetread, rows) -> None:
    result = wetread("results", "--limit", "2", "--json")
    assert len(json.loads(result.stdout)) == 2
    assert "more than these 2" in result.stderr


def test_nothing_fits(wetread, rows) -> None:
    result = wetread("results", "--key", "other")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No row fits" in result.stderr


@pytest.mark.parametrize("options", [(), ("--json",), ("--csv",), ("--since", "1h")])
@pytest.mark.parametrize("asked", ["COVID", "flu"])
def test_a_class_that_no_model_has_is_refused_with_those_that_there_are(wetread, rows, asked, options) -> None:
    result = wetread("results", "--class", asked, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"No result has the class '{asked}'" in result.stderr
    assert "Its classes are normal, cap, covid." in result.stderr


def test_a_class_of_the_stage_without_a_row_is_no_error(wetread, rows) -> None:
    result = wetread("results", "--class", "normal")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No row fits" in result.stderr


def test_a_class_of_a_former_model_can_be_asked_for(wetread, connection, completed) -> None:
    connection.index.rows.append(completed(key="old.dcm", predicted_class="flu", probabilities={"flu": 1.0}))
    assert "old.dcm" in wetread("results", "--class", "flu").stdout
    result = wetread("results", "--class", "flu", "--key", "another.dcm")
    assert result.exit_code == 0
    assert "No row fits" in result.stderr


def test_abstained_slices_are_found_alone_and_with_other_conditions(wetread, connection, completed, rows) -> None:
    unlike = {"predicted_class": None, "probabilities": {}, "typicality": {"Abstained": True}}
    rows.append(completed(key="unlike.dcm", **unlike))
    rows.append(completed(key="other.dcm", model_package="wetread/2", **unlike))
    assert keys(wetread("results", "--abstained", "--json")) == {"unlike.dcm", "other.dcm"}
    assert keys(wetread("results", "--abstained", "--model", "wetread/2", "--json")) == {"other.dcm"}
    assert connection.index.asked == [IndexName.BY_STATUS, IndexName.BY_MODEL]
    assert "No row fits" in wetread("results", "--abstained", "--status", "failed").stderr
    assert wetread("results", "--abstained", "--class", "cap").exit_code == 2


@pytest.mark.parametrize(
    ("facts", "lane"),
    [
        ({}, None),
        ({"transform_job_name": "wetread-1"}, "transform"),
        ({"transform_job_name": "wetread-1", "lane": "express"}, "express"),
    ],
)
def test_a_result_names_its_lane(wetread, connection, completed, facts, lane) -> None:
    connection.index.rows.append(completed(**facts))
    header, _, line = [line for line in wetread("results").stdout.splitlines() if line.strip()]
    assert line[header.index("Lane") :].split()[0] == (lane or "-")
    (document,) = json.loads(wetread("results", "--json").stdout)
    assert document.get("Lane") == lane
    (record,) = csv.DictReader(io.StringIO(wetread("results", "--csv").stdout))
    assert record["Lane"] == (lane or "")


def keys(result) -> set[str]:
    return {document["Key"] for document in json.loads(result.stdout)}


@pytest.mark.parametrize("options", [("--since", "soon"), ("--json", "--csv"), ("--status", "Done"), ("--limit", "0")])
def test_wrong_use_is_exit_code_2(wetread, options) -> None:
    assert wetread("results", *options).exit_code == 2
