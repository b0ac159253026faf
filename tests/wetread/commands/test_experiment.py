"""Labels in, a separate training job, its log lines, and the place of its artifact."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from functions.domain.training_run import TrainingRun
from model_code.artifacts import seal
from tests.fakes.wire import Wire, client_error
from tests.fakes.workflow import entry
from wetread.training import experiments
from wetread.training import job as following_job

JOB = "wetread-experiment-ab12-20261126090000"
ARTIFACT = f"s3://training/runs/ab12/training/{JOB}/output/model.tar.gz"
TAKEN = TrainingRun(run_id="ab12", taken=True, slices=2).to_json()


class Functions:
    """Lambda: the function ``snapshot`` and its answers."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = TAKEN
        self.error = False
        self.asked: list[dict[str, Any]] = []

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
        assert FunctionName == "snapshot"
        self.asked.append(json.loads(Payload))
        failed = {"FunctionError": "Unhandled"} if self.error else {}
        return {"Payload": io.BytesIO(json.dumps(self.answer).encode())} | failed


class Job:
    """SageMaker and its log: the job goes through ``statuses``, and prints ``lines`` at the first look."""

    def __init__(self) -> None:
        self.statuses = ["InProgress", "InProgress", "Completed"]
        self.lines = ["training_slices=2", "epoch=1 val_loss=0.5", "epoch=2 val_loss=0.25"]
        self.failure = ""

    def describe_training_job(self, *, TrainingJobName: str) -> dict[str, Any]:  # noqa: N803
        if TrainingJobName != JOB:
            raise client_error("ValidationException", "Requested resource not found.")
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {
            "TrainingJobName": JOB,
            "TrainingJobStatus": status,
            "SecondaryStatus": "Training",
            "HyperParameters": {"epochs": "2"},
            "ModelArtifacts": {"S3ModelArtifacts": ARTIFACT},
            "FinalMetricDataList": [{"MetricName": "validation:loss", "Value": 0.25}],
            "FailureReason": self.failure,
        }

    def describe_log_streams(self, **_: Any) -> dict[str, Any]:
        return {"logStreams": [{"logStreamName": f"{JOB}/algo-1"}]}

    def get_log_events(self, **request: Any) -> dict[str, Any]:
        lines = [] if "nextToken" in request else self.lines
        return {"events": [{"message": line} for line in lines], "nextForwardToken": "f/1"}


@pytest.fixture
def lab(connection, monkeypatch) -> SimpleNamespace:
    functions, job = Functions(), Job()
    states = {"Snapshot": {"Arguments": {"FunctionName": "snapshot"}}, "Train": {"Arguments": {"RoleArn": "r"}}}
    connection.executions.describe_state_machine = lambda **_: {"definition": json.dumps({"States": states})}
    connection.client = lambda service, **_: functions
    connection.sagemaker, connection.logs = Wire("sagemaker", job), Wire("logs", job)
    started: list[tuple[Any, ...]] = []
    monkeypatch.setattr(experiments, "start", lambda *given: started.append(given) or JOB)
    monkeypatch.setattr(following_job.time, "sleep", lambda _: None)
    return SimpleNamespace(functions=functions, job=job, started=started)


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("a.dcm", "b.dcm"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "manifest.json").write_text(json.dumps([entry("a.dcm", "cap"), entry("b.dcm", "covid")]))
    return tmp_path


def test_prints_the_artifact_alone_and_everything_else_beside_it(wetread, lab, folder) -> None:
    result = wetread("experiment", "--labels", folder, "--set", "epochs=2", "--seed", "7")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{ARTIFACT}\n"
    for expected in ("Uploaded 2 files", "2 slices frozen", *lab.job.lines, "validation:loss = 0.25"):
        assert expected in result.stderr
    assert f"wetread model register {ARTIFACT}" in result.stderr
    (asked,) = lab.functions.asked
    assert asked["Execution"].startswith("experiment-")
    assert asked["Input"] | {"LabelsUri": ""} == {
        "LabelsUri": "",
        "AcceptedRisks": [],
        "Seed": 7,
        "HyperParameters": {"epochs": "2"},
    }


def test_numbers_for_the_workflow_are_not_shown(wetread, lab, folder) -> None:
    lab.job.lines.append(seal.line(range(seal.NUMBERS)))
    result = wetread("experiment", "--labels", folder)
    assert "val_loss=0.25" in result.stderr
    assert "model_digest" not in result.stderr


def test_nothing_is_started_in_the_workflow(wetread, connection, lab, folder) -> None:
    assert wetread("experiment", "--labels", folder).exit_code == 0
    assert connection.executions.executions == {}


def test_changed_code_goes_along(wetread, connection, lab, folder) -> None:
    code = folder / "model_code"
    (code / "__pycache__").mkdir(parents=True)
    for name in ("__main__.py", "fit.py", "__pycache__/fit.pyc", ".secret"):
        (code / name).write_text(name)
    assert wetread("experiment", "--labels", folder, "--code", code).exit_code == 0
    sent = sorted(key for _, key in connection.s3.objects if "/code/" in key)
    assert sent == ["runs/ab12/code/model_code/__main__.py", "runs/ab12/code/model_code/fit.py"]
    assert lab.started[0][-1] == "s3://training/runs/ab12/code/"


def test_labels_that_are_not_taken_are_reported_and_train_nothing(wetread, lab, folder) -> None:
    reason = {"Code": "UnknownLabel", "Message": "Entry 2: its label is wrong.", "Accepted": False}
    lab.functions.answer = TrainingRun(run_id="ab12", taken=False, reasons=[reason]).to_json()
    result = wetread("experiment", "--labels", folder)
    assert (result.exit_code, lab.started) == (1, [])
    assert "UnknownLabel: Entry 2 (b.dcm): its label is wrong. Nothing was trained." in result.stderr


def test_a_function_that_fails_is_reported(wetread, lab, folder) -> None:
    lab.functions.answer, lab.functions.error = {"errorMessage": "Task timed out"}, True
    result = wetread("experiment", "--labels", folder)
    assert (result.exit_code, "snapshot failed: Task timed out" in result.stderr) == (1, True)


def test_a_job_that_fails_says_why(wetread, lab, folder) -> None:
    lab.job.statuses, lab.job.failure = ["Failed"], "AlgorithmError: the loss diverges, exit code: 1"
    result = wetread("experiment", "--labels", folder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{JOB} is Failed: AlgorithmError: the loss diverges" in result.stderr


def test_an_experiment_is_followed_again(wetread, lab) -> None:
    result = wetread("experiment", "--attach", JOB)
    assert (result.exit_code, result.stdout, lab.functions.asked) == (0, f"{ARTIFACT}\n", [])


def test_interrupted_it_says_how_to_follow_it(wetread, lab, monkeypatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(following_job.time, "sleep", interrupt)
    result = wetread("experiment", "--attach", JOB)
    assert (result.exit_code, f"wetread experiment --attach {JOB}" in result.stderr) == (130, True)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "either --labels or --attach"),
        (("--labels", ".", "--attach", JOB), "either --labels or --attach"),
        (("--attach", "other"), "no training job 'other'"),
        (("--labels", "absent"), "no file or folder 'absent'"),
        (("--labels", ".", "--code", "."), "is no copy of model_code/"),
        (("--labels", ".", "--set", "epochs"), "NAME=VALUE"),
    ],
)
def test_wrong_use_uploads_and_starts_nothing(wetread, connection, lab, folder, monkeypatch, options, expected) -> None:
    monkeypatch.chdir(folder)
    result = wetread("experiment", *options)
    assert result.exit_code == 2, result.output
    assert expected in result.stderr.replace("\n", " ")
    assert (lab.functions.asked, lab.started, connection.s3.objects) == ([], [], {})


def test_without_the_sdk_it_says_what_to_install(wetread, lab, folder, monkeypatch) -> None:
    monkeypatch.setattr("wetread.extras.missing", lambda extra: ["sagemaker-train"] if extra == "sdk" else [])
    result = wetread("experiment", "--labels", folder)
    assert (result.exit_code, "pip install '.[sdk]'" in result.stderr) == (2, True)
