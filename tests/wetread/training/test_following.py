"""A run is followed state by state, with the newest line of the job that works for it."""

import pytest
from botocore.exceptions import ClientError

from functions.domain.layout import run_id
from model_code.artifacts import seal
from tests.fakes.wire import client_error
from wetread.problems import Interruption
from wetread.training import following

RUN = run_id("one")


@pytest.fixture
def run(connection, monkeypatch):
    """A run in Train with a line in its second job's log."""
    monkeypatch.setattr(following.time, "sleep", lambda _: None)
    connection.executions.states = ["Snapshot", "Audit", "GateData", "Train", "Evaluate", "Promote"]
    connection.jobs.jobs = [f"wetread-audit-{RUN}-0", f"wetread-train-{RUN}-0", f"wetread-train-{RUN}-1", "w-train-x-0"]
    connection.jobs.lines = ["epoch=1", "epoch=2 train_loss=0.5\n"]
    return connection.runs.describe(connection.executions.add("one", at=3))


def test_the_newest_job_of_the_state_is_shown(connection, run) -> None:
    assert following.progress(connection, run) == "Train: epoch=2 train_loss=0.5"
    assert following.job_of(connection.sagemaker, RUN, "Train") == f"wetread-train-{RUN}-1"
    assert connection.jobs.groups == ["/aws/sagemaker/TrainingJobs"]


def test_of_a_training_the_epoch_is_shown_and_of_how_many(connection, run) -> None:
    connection.jobs.lines = ["epoch=4 of 10 train_loss=0.5"]
    assert following.progress(connection, run) == "Train: epoch=4 of 10 train_loss=0.5"


def test_a_processing_job_is_shown_too(connection, run) -> None:
    connection.executions.executions[run.arn]["at"] = 2
    assert following.progress(connection, run) == "Audit: epoch=2 train_loss=0.5"
    assert connection.jobs.groups == ["/aws/sagemaker/ProcessingJobs"]


def test_without_a_job_or_a_line_there_is_the_state(connection, run) -> None:
    connection.jobs.lines = []
    assert following.progress(connection, run) == "Train"
    connection.jobs.jobs = []
    assert following.progress(connection, run) == "Train"
    connection.executions.executions[run.arn]["at"] = 3
    assert following.progress(connection, run) == "GateData"
    connection.executions.executions[run.arn]["at"] = 0
    assert following.progress(connection, run) == "Starting"


def test_the_digest_of_the_model_hides_no_line_for_people(connection, run) -> None:
    digest = seal.line(range(seal.NUMBERS))
    connection.jobs.lines = ["epoch=2 train_loss=0.5", "model=wetread/1 temperature=1.5", digest]
    assert following.progress(connection, run) == "Train: model=wetread/1 temperature=1.5"
    connection.jobs.lines = [digest]
    assert following.progress(connection, run) == "Train"


def test_no_log_group_yet_is_no_error_and_other_trouble_is(connection, run) -> None:
    def fail(**_):
        raise client_error(code)

    connection.jobs.describe_log_streams = fail
    code = "ResourceNotFoundException"
    assert following.progress(connection, run) == "Train"
    code = "AccessDeniedException"
    with pytest.raises(ClientError):
        following.progress(connection, run)


def test_a_failed_run_was_last_in_the_state_that_failed(connection) -> None:
    connection.executions.states = ["Snapshot", "Audit", "NotifyFailed", "Failed"]
    arn = connection.executions.add("one", status="FAILED", at=4)
    assert following.state_of(connection.stepfunctions, arn) == "Audit"


def test_follows_to_the_end(connection, run) -> None:
    ended = following.follow(connection, run)
    assert (ended.status, ended.arn) == ("SUCCEEDED", run.arn)
    assert connection.executions.executions[run.arn]["at"] == len(connection.executions.states) + 1


def test_in_a_pipe_every_line_of_every_job_is_printed_once(connection, run, capsys) -> None:
    """Also lines between two looks, of a job that has ended by then, and lines that come after its state was left."""
    audit, first, second = connection.jobs.jobs[:3]
    optimise = f"wetread-optimise-{RUN}-0"
    states = ["Snapshot", "Audit", "GateData", "Train", "Optimise", "Evaluate", "Promote"]
    connection.executions.states = states
    connection.executions.executions[run.arn]["at"] = 0
    connection.jobs.jobs.append(optimise)
    connection.jobs.lines = []
    connection.jobs.own = {audit: ["a", "b"], first: ["c"], second: ["epoch=1", "epoch=2"], optimise: ["form=fp32"]}
    look = connection.executions.describe_execution

    def late(**request):
        answer = look(**request)
        if answer["at"] == states.index("Evaluate") + 1:
            connection.jobs.own[optimise] += ["form=int8", "chosen"]
        if answer["status"] != "RUNNING":
            connection.jobs.own[second].append("the last line")
        return answer

    connection.executions.describe_execution = late
    following.follow(connection, run)
    shown = [line for line in capsys.readouterr().err.splitlines() if ": " in line]
    trained = ["Train: c", "Train: epoch=1", "Train: epoch=2"]
    optimised = ["Optimise: form=fp32", "Optimise: form=int8", "Optimise: chosen"]
    assert shown == ["Audit: a", "Audit: b", *trained, *optimised, "Train: the last line"]


def test_a_run_of_states_that_passed_between_two_looks_is_logged_too(connection, run, capsys) -> None:
    connection.executions.executions[run.arn]["at"] = len(connection.executions.states)
    following.follow(connection, run)
    assert capsys.readouterr().err.splitlines().count("Audit: epoch=1") == 1


def test_ctrl_c_says_that_the_run_continues(connection, run, monkeypatch) -> None:
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(following.time, "sleep", interrupt)
    with pytest.raises(Interruption, match=f"The run continues: see `wetread runs {RUN}`") as caught:
        following.follow(connection, run)
    assert caught.value.exit_code == 130
    assert connection.executions.executions[run.arn]["status"] == "RUNNING"
