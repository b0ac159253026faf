"""The training job's request fits SageMaker's shapes and the job role's rights, and its end is told."""

from datetime import UTC, datetime
from types import SimpleNamespace

import boto3
import pytest
from botocore.stub import Stubber

from wetread.demo import training
from wetread.problems import Problem

NOW = datetime(2026, 11, 23, 9, 30, 0, tzinfo=UTC)
NAME = "wetread-demo-20261123-093000"


@pytest.fixture
def job(connection, tmp_path, monkeypatch):
    """``train`` against stubbed SageMaker and logs clients: ``job(answers)`` runs it and returns what it told."""
    keys = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    sagemaker, logs = boto3.client("sagemaker", **keys), boto3.client("logs", **keys)
    connection.sagemaker = sagemaker
    connection.client = lambda service: {"logs": logs}[service]
    connection.s3.download_file = lambda *request: fetched.append(request)
    monkeypatch.setattr(training.time, "sleep", lambda _: None)
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    for name in ("a.dcm", "manifest.json"):
        (cohort / name).touch()
    fetched: list = []

    def run(*answers):
        told: list[str] = []
        with Stubber(sagemaker) as jobs, Stubber(logs) as lines:
            jobs.add_response("create_training_job", {"TrainingJobArn": "arn:aws:sagemaker:us-east-1:000000000000:t/j"})
            for answer in answers:
                jobs.add_response("describe_training_job", describe(**answer), {"TrainingJobName": NAME})
                streams = [{"logStreamName": f"{NAME}/algo-1"}]
                lines.add_response("describe_log_streams", {"logStreams": streams})
                lines.add_response("get_log_events", {"events": [{"message": "epoch 1 of 6\n"}]})
            training.train(connection, cohort, tmp_path / "model.tar.gz", NOW, told.append)
        return SimpleNamespace(told=told, fetched=fetched)

    return run


def describe(status: str, **more: object) -> dict[str, object]:
    return {
        "TrainingJobName": NAME,
        "TrainingJobArn": "arn:aws:sagemaker:us-east-1:000000000000:training-job/j",
        "TrainingJobStatus": status,
        "SecondaryStatus": "Training",
        "ModelArtifacts": {"S3ModelArtifacts": f"s3://work/outputs/{NAME}/output/model.tar.gz"},
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "ResourceConfig": {"VolumeSizeInGB": 1},
        "StoppingCondition": {},
        "CreationTime": NOW,
    } | more


def test_uploads_trains_and_fetches_the_artifact(job, connection, tmp_path) -> None:
    done = job({"status": "InProgress"}, {"status": "Completed"})
    assert {key for key, _ in connection.s3.versions} == {f"instances/{NAME}/a.dcm", f"instances/{NAME}/manifest.json"}
    assert done.told == ["epoch 1 of 6", "epoch 1 of 6"]
    assert done.fetched == [("work", f"outputs/{NAME}/output/model.tar.gz", str(tmp_path / "model.tar.gz"))]


def test_a_failed_job_is_told_with_its_reason(job) -> None:
    with pytest.raises(Problem, match="is Failed: AlgorithmError: no images"):
        job({"status": "Failed", "FailureReason": "AlgorithmError: no images"})


def test_no_log_yet_is_no_error(connection) -> None:
    logs = boto3.client("logs", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(logs) as stubber:
        stubber.add_client_error("describe_log_streams", "ResourceNotFoundException")
        stubber.add_response("describe_log_streams", {"logStreams": []})
        assert training._last_line(logs, NAME) == ""
        assert training._last_line(logs, NAME) == ""
