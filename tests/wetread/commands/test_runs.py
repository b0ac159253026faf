"""The runs of the workflow, and one in full."""

import io
import json

import pytest

from functions.domain.layout import run_id
from tests.wetread.evaluation import evaluation

REPORT, EVALUATION = "s3://training/runs/r/evaluation/report.html", "s3://training/runs/r/evaluation/evaluation.json"


def put(connection, uri: str, body: bytes) -> None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    connection.s3.put_object(Bucket=bucket, Key=key, Body=io.BytesIO(body), ContentType="")


@pytest.fixture
def runs(connection):
    """A promoted run, a failed one, and one that is in Train."""
    output = {
        "Outcome": "Promoted",
        "Run": run_id("first"),
        "Reasons": [{"Code": "TooFewPatients", "Message": "Few.", "Accepted": True}],
        "ModelPackage": "wetread/4",
        "EvaluationUri": EVALUATION,
        "ReportUri": REPORT,
    }
    asked = {"LabelsUri": "s3://training/cohorts/a/manifest.json", "AcceptedRisks": ["TooFewPatients"]}
    connection.executions.states = ["Audit", "Train", "Evaluate"]
    connection.executions.add("first", status="SUCCEEDED", output=json.dumps(output), input=json.dumps(asked))
    connection.executions.add("second", status="FAILED", error="States.TaskFailed", cause="no room", at=1)
    connection.executions.add("third", at=1)
    put(connection, EVALUATION, json.dumps(evaluation()).encode())
    put(connection, REPORT, b"<html>")
    return connection.executions


def test_the_newest_stand_first(wetread, runs) -> None:
    result = wetread("runs")
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if any(name in line for name in ("first", "second", "third"))]
    assert [line.split()[0] for line in lines] == [run_id(name) for name in ("third", "second", "first")]
    assert ["Running" in lines[0], "Failed" in lines[1], "Promoted" in lines[2], "wetread/4" in lines[2]] == [True] * 4
    documents = json.loads(wetread("runs", "--json", "--limit", "2").stdout)
    assert [(one["Run"], one["Outcome"]) for one in documents] == [
        (run_id("third"), "Running"),
        (run_id("second"), "Failed"),
    ]


def test_no_run_yet(wetread) -> None:
    result = wetread("runs")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "wetread train" in result.stderr


@pytest.mark.parametrize("wanted", ["first", run_id("first"), run_id("first")[:5]])
def test_one_run_in_full(wetread, runs, wanted) -> None:
    result = wetread("runs", wanted)
    assert result.exit_code == 0, result.output
    for text in ("Promoted", "took 90 s", "cohorts/a/manifest.json", "0.900 (0.800 to 0.950)", "accepted", REPORT):
        assert text in result.stdout
    assert "model show wetread/4" in result.stderr


def test_a_run_that_is_not_over_shows_its_state(wetread, connection, runs) -> None:
    connection.jobs.jobs, connection.jobs.lines = [f"wetread-train-{run_id('third')}-0"], ["epoch=2"]
    result = wetread("runs", "third")
    assert "Train: epoch=2" in result.stdout
    assert json.loads(wetread("runs", "third", "--json").stdout)["State"] == "Evaluate"
    assert "It still runs" in result.stderr


def test_a_failed_run_reports_where_and_why(wetread, runs) -> None:
    result = wetread("runs", "second")
    assert result.exit_code == 0
    assert "no room" in result.stdout
    assert "Audit" in result.stdout


def test_one_run_as_json(wetread, runs) -> None:
    document = json.loads(wetread("runs", "first", "--json").stdout)
    assert document["Outcome"] == "Promoted"
    assert document["Reasons"] == [{"Code": "TooFewPatients", "Message": "Few.", "Accepted": True}]
    assert document["Input"]["AcceptedRisks"] == ["TooFewPatients"]


def test_the_report_is_saved(wetread, runs, tmp_path) -> None:
    result = wetread("runs", "first", "--report", tmp_path / "report.html")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "report.html").read_bytes() == b"<html>"
    assert (tmp_path / "report.html").stat().st_mode & 0o077 == 0, "it shows slices of patients"


def test_a_report_replaces_no_file_that_a_link_leads_to(wetread, runs, tmp_path) -> None:
    (tmp_path / "profile").write_text("mine")
    (tmp_path / "report.html").symlink_to(tmp_path / "profile")
    result = wetread("runs", "first", "--report", tmp_path / "report.html")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
    assert (tmp_path / "profile").read_text() == "mine"


def test_a_report_that_is_not_there_or_cannot_be_written(wetread, runs, tmp_path) -> None:
    for options in (("second", "--report", tmp_path / "r"), ("--report", tmp_path / "r")):
        assert wetread("runs", *options).exit_code == 2
    assert "has no report" in wetread("runs", "second", "--report", tmp_path / "r").stderr
    assert "cannot be written" in wetread("runs", "first", "--report", tmp_path / "absent" / "r").stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_run(wetread, runs) -> None:
    result = wetread("runs", "zz")
    assert (result.exit_code, "no run 'zz'" in result.stderr) == (2, True)
