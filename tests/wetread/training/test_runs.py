"""Runs are started once, found by what people know of them, and described in words."""

import json
from datetime import UTC, datetime

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from functions.domain.layout import run_id
from wetread.connection import Connection
from wetread.problems import ConfigProblem, Problem
from wetread.training.runs import Runs, execution_name

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
DOCUMENT = {"LabelsUri": "s3://training/cohorts/a/manifest.json"}


def test_a_run_is_started_and_read(connection) -> None:
    run = connection.runs.start("train-1", DOCUMENT)
    assert (run.name, run.run_id, run.outcome, run.ended) == ("train-1", run_id("train-1"), "Running", None)
    assert run.input == DOCUMENT


def test_starting_the_same_run_again_finds_it(connection) -> None:
    first = connection.runs.start("train-1", DOCUMENT)
    assert connection.runs.start("train-1", DOCUMENT).arn == first.arn
    with pytest.raises(Problem, match="'train-1' already, with another input"):
        connection.runs.start("train-1", DOCUMENT | {"Seed": 1})
    assert len(connection.executions.executions) == 1


class Retries:
    """A real Step Functions client with prepared answers, one after another."""

    def __init__(self, monkeypatch, *answers: tuple[int, dict[str, object]]) -> None:
        self.answers, self.names = list(answers), []
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(variable, "x")
        monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
        connection = Connection(boto3.Session(region_name="us-east-1"), str, "Wetread", local=False)
        self.client = connection.stepfunctions
        self.client.meta.events.register("before-send.sfn", self._answer)

    def _answer(self, request, **_):
        self.names.append(json.loads(request.body).get("name"))
        status, document = self.answers.pop(0)
        body = json.dumps(document).encode()
        response = AWSResponse(request.url, status, {"Content-Type": "application/x-amz-json-1.0"}, None)
        response._content = body
        return response


def test_a_throttled_start_is_tried_again_under_the_same_name(monkeypatch) -> None:
    arn = "arn:aws:states:us-east-1:000000000000:execution:wetread-training:train-1"
    throttled = (400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
    started = (200, {"executionArn": arn, "startDate": 1_763_890_000})
    wire = Retries(monkeypatch, throttled, throttled, started)
    runs = Runs(wire.client, "arn:aws:states:us-east-1:000000000000:stateMachine:wetread-training")
    assert runs.start("train-1", DOCUMENT).arn == arn
    assert wire.names == ["train-1", "train-1", "train-1"]


def test_runs_are_found_by_id_beginning_and_execution_name(connection) -> None:
    for name in ("one", "two", "three"):
        connection.executions.add(name, status="SUCCEEDED")
    assert [run.name for run in connection.runs.newest(2)] == ["three", "two"]
    for wanted in ("one", run_id("one"), run_id("one")[:6]):
        assert connection.runs.find(wanted).name == "one"
    with pytest.raises(ConfigProblem, match="no run 'other'"):
        connection.runs.find("other")
    with pytest.raises(ConfigProblem, match=f"3 runs begin with ''.*{run_id('three')}"):
        connection.runs.find("")


def test_running_ones_alone(connection) -> None:
    connection.executions.add("ended", status="FAILED")
    connection.executions.add("running")
    assert [run.name for run in connection.runs.running()] == ["running"]


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ({"status": "SUCCEEDED", "output": '{"Outcome": "Rejected"}'}, "Rejected"),
        ({"status": "FAILED", "error": "States.TaskFailed", "cause": "no room"}, "Failed"),
        ({"status": "TIMED_OUT"}, "TimedOut"),
        ({"status": "ABORTED"}, "Aborted"),
        ({"status": "SUCCEEDED", "output": "[]"}, "SUCCEEDED"),
    ],
)
def test_outcomes(connection, values, outcome) -> None:
    run = connection.runs.describe(connection.executions.add("one", **values))
    assert run.outcome == outcome
    assert run.seconds(NOW) == 90
    assert run.to_json()["Outcome"] == outcome
    assert run.to_json()["Cause"] == values.get("cause")


def test_an_input_that_is_not_an_object_does_not_hurt(connection) -> None:
    assert connection.runs.describe(connection.executions.add("by-hand", input='"now"')).input == {}


def test_execution_names_have_their_time_and_differ() -> None:
    names = {execution_name("train", NOW) for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("train-20261123-093000-") for name in names)
