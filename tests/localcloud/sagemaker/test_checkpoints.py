"""Checkpoints of training jobs: downloaded at the start, uploaded while the job runs and when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
from unittest.mock import Mock, call

import pytest

from localcloud.sagemaker.checkpoints import _Copy
from localcloud.sagemaker.locations import S3Location


@pytest.fixture
def configuration(bucket):
    return {"CheckpointConfig": {"S3Uri": f"s3://{bucket}/out/checkpoints"}}


@pytest.fixture
def kept(outputs):
    """The checkpoints in S3."""
    return lambda: {key.rpartition("/")[2]: body for key, body in outputs().items() if key.startswith("checkpoints/")}


@pytest.fixture
def readable(client, role, bucket):
    """A role that may also read and list what jobs have written."""
    return role(
        "sagemaker.amazonaws.com",
        ("s3:GetObject", f"arn:aws:s3:::{bucket}/*"),
        ("s3:PutObject", f"arn:aws:s3:::{bucket}/out/*"),
        ("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
    )


def test_a_later_job_finds_what_an_earlier_one_left(train, configuration, kept, artifact_of, name, readable):
    train({"checkpoint": "epoch 1"}, RoleArn=readable, **configuration)
    assert kept() == {"last.pt": b"epoch 1"}
    job = train({"checkpoint": "epoch 2"}, TrainingJobName=f"{name}-2", RoleArn=readable, **configuration)
    assert artifact_of(job)["algo-1.json"]["checkpoints"] == {"last.pt": "epoch 1"}
    assert kept() == {"last.pt": b"epoch 2"}


def test_a_job_that_fails_leaves_its_checkpoints(train, configuration, kept, readable):
    job = train({"checkpoint": "epoch 1", "fail": "no more"}, RoleArn=readable, **configuration)
    assert job["FailureReason"] == "AlgorithmError: no more, exit code: 1"
    assert kept() == {"last.pt": b"epoch 1"}


def test_checkpoints_are_there_while_the_job_runs_and_after_its_process_is_killed(
    client, training_request, configuration, kept, until, ended, name, readable
):
    request = training_request({"checkpoint": "epoch 1", "sleep": "60"}, RoleArn=readable, **configuration)
    client("sagemaker").create_training_job(**request)
    until(lambda: kept() == {"last.pt": b"epoch 1"})
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,args="], check=True, capture_output=True, text=True).stdout
    (pid,) = [int(line.split()[0]) for line in listed.splitlines() if line.endswith("fake_image.py train")]
    os.kill(pid, signal.SIGKILL)
    job = ended(name, "TrainingJob")
    assert job["FailureReason"].endswith("exit code: 137")
    assert kept() == {"last.pt": b"epoch 1"}


def test_a_stopped_job_leaves_its_checkpoints(
    client, training_request, configuration, kept, until, ended, name, log_lines, readable
):
    request = training_request({"checkpoint": "epoch 1", "sleep": "60"}, RoleArn=readable, **configuration)
    client("sagemaker").create_training_job(**request)
    until(lambda: "wrote last.pt" in log_lines("/aws/sagemaker/TrainingJobs", name))
    client("sagemaker").stop_training_job(TrainingJobName=name)
    assert ended(name, "TrainingJob")["TrainingJobStatus"] == "Stopped"
    assert kept() == {"last.pt": b"epoch 1"}


def test_the_role_must_be_able_to_list_and_to_write_checkpoints(train, role, bucket, configuration, name):
    reading = ("s3:GetObject", f"arn:aws:s3:::{bucket}/*")
    listing = ("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    writing = ("s3:PutObject", f"arn:aws:s3:::{bucket}/out/{name}*")
    mute = role("sagemaker.amazonaws.com", reading, listing, writing)
    job = train({"checkpoint": "1"}, RoleArn=mute, **configuration)
    assert job["FailureReason"].startswith("ClientError: The output could not be uploaded")


def test_what_a_container_removes_is_deleted_in_the_bucket_too(tmp_path):
    """SageMaker's guide: "If a checkpoint is deleted in the SageMaker container, it will also be deleted in S3"."""
    (tmp_path / "old.partial").write_text("1")
    s3 = Mock()
    copy = _Copy(s3, tmp_path, S3Location("b", "c/"))
    copy.send()
    (tmp_path / "old.partial").rename(tmp_path / "last.pt")
    copy.send()
    s3.delete_object.assert_called_once_with(Bucket="b", Key="c/old.partial")
    assert s3.upload_file.call_args_list[-1] == call(str(tmp_path / "last.pt"), "b", "c/last.pt")
