"""The runs of the workflow, and one in full."""

import io
import json

import pytest

from functions.domain.layout import run_id
from tests.fakes.wire import client_error
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


def test_the_list_has_figures_settings_and_the_attempt(wetread, connection, runs) -> None:
    measured = evaluation() | {"Attempt": {"Number": 3}}
    put(connection, EVALUATION, json.dumps(measured).encode())
    asked = {"HyperParameters": {"epochs": "40"}, "Seed": 7}
    output = {"Outcome": "Rejected", "EvaluationUri": EVALUATION}
    runs.add("fourth", status="SUCCEEDED", output=json.dumps(output), input=json.dumps(asked))
    result = wetread("runs")
    (line,) = [line for line in result.stdout.splitlines() if run_id("fourth") in line]
    assert "0.900 (0.800 to 0.950)  3        epochs=40 seed=7" in line
    document = json.loads(wetread("runs", "--json").stdout)[0]
    assert (document["Attempt"], document["BalancedAccuracy"]["Value"]) == (3, 0.9)
    shown = wetread("runs", "fourth")
    assert "Attempt 3 on patients of this test part." in shown.stdout


def test_who_may_not_read_figures_sees_the_list_without_them(wetread, connection, runs, monkeypatch) -> None:
    def denied(**request):
        raise client_error("AccessDenied", "no")

    monkeypatch.setattr(connection.s3, "get_object", denied)
    result = wetread("runs")
    assert result.exit_code == 0
    assert run_id("first") in result.stdout
    assert "The figures of 1 run(s) cannot be read" in result.stderr


def snapshot(*slices: tuple[str, str, str, str]) -> bytes:
    names = ("ContentSHA256", "Label", "Split", "Patient")
    entries = [dict(zip(names, one, strict=True)) for one in slices]
    return json.dumps({"Digest": str(slices), "Slices": entries}).encode()


def evaluated(connection, executions, name: str, value: float, **asked) -> None:
    uri = f"s3://training/runs/{run_id(name)}/evaluation/evaluation.json"
    document = evaluation()
    document["Candidate"]["BalancedAccuracy"] |= {"Value": value}
    put(connection, uri, json.dumps(document).encode())
    output = json.dumps({"Outcome": "Rejected", "EvaluationUri": uri})
    executions.add(name, status="SUCCEEDED", output=output, input=json.dumps(asked))


def test_two_runs_are_compared_in_settings_data_and_figures(wetread, connection, runs) -> None:
    evaluated(connection, runs, "old", 0.8, HyperParameters={"epochs": "40", "network": "densenet121"})
    evaluated(connection, runs, "new", 0.9, HyperParameters={"epochs": "80", "network": "densenet121"}, Seed=3)
    one = [("a", "cap", "train", "p"), ("b", "cap", "test", "q")]
    for name, slices in (("old", one), ("new", [("a", "covid", "train", "p"), one[1], ("c", "cap", "test", "r")])):
        put(connection, f"s3://training/runs/{run_id(name)}/snapshot.json", snapshot(*slices))
    result = wetread("runs", "compare", "old", run_id("new")[:8])
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["epochs", "40", "80"] in lines
    assert ["seed", "0", "3"] in lines
    assert not any(line and line[0] == "network" for line in lines), "what is the same is not listed"
    assert ["test", "1", "/", "1", "2", "/", "2", "1", "/", "1"] in lines
    assert any("0.800 (0.800" in line and "0.900 (0.800" in line for line in result.stdout.splitlines())
    assert "in the second alone: 1; of those in both 1 have another label, and 0 are in another part" in result.stderr
    assert "do not say which model is better" in result.stderr
    document = json.loads(wetread("runs", "compare", "old", "new", "--json").stdout)
    assert document["Data"]["Relabelled"] == 1
    assert {"Name": "epochs", "Values": ["40", "80"]} in document["Settings"]


def test_runs_without_evaluation_or_snapshot_are_compared_as_far_as_they_go(wetread, connection, runs) -> None:
    evaluated(connection, runs, "old", 0.8)
    result = wetread("runs", "compare", "old", "second")
    assert result.exit_code == 0, result.output
    assert f"Run {run_id('second')} has no evaluation." in result.stderr
    assert "what differs in their data is not known" in result.stderr


@pytest.mark.parametrize("words", [("first", "second"), ("compare", "first"), ("compare", "a", "b", "c")])
def test_other_words_are_refused_with_what_to_write(wetread, runs, words) -> None:
    result = wetread("runs", *words)
    assert result.exit_code == 2
    assert "`wetread runs compare RUN OTHER`" in result.stderr
    assert wetread("runs", "compare", "first", "second", "--report", "x").exit_code == 2
