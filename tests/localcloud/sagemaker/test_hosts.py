"""Training jobs of several instances: a process for each host."""

from __future__ import annotations

import pytest

TWO = {"ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 10}}


def test_every_host_knows_itself_and_reaches_the_first(train, artifact_of, log_lines, name):
    job = train({"meet": "yes"}, **TWO)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    left = artifact_of(job)
    hosts = ["127.0.0.1", "127.0.0.2"]
    assert {host: left[f"{host}.json"]["current_host"] for host in hosts} == {host: host for host in hosts}
    assert left["127.0.0.1.json"]["hosts"] == left["127.0.0.2.json"]["hosts"] == hosts
    assert left["files.json"] == ["training/deep/a.dcm", "training/manifest.json"]
    assert len([line for line in log_lines("/aws/sagemaker/TrainingJobs", name) if line.startswith("training")]) == 2


def test_objects_can_be_shared_out_among_the_hosts(train, training_request, artifact_of, bucket):
    (channel,) = training_request()["InputDataConfig"]
    channel["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    job = train({}, InputDataConfig=[channel], **TWO)
    assert artifact_of(job)["files.json"] == ["training/deep/a.dcm"]  # the first host's half


def test_a_host_that_fails_ends_the_others_and_the_job(train):
    job = train({"failing host": "127.0.0.2", "fail": "I am the second", "meet": "yes"}, **TWO)
    assert job["FailureReason"] == "AlgorithmError: I am the second, exit code: 1"


def test_two_such_jobs_at_once_would_meet_at_one_port(client, training_request, ended, name):
    sagemaker = client("sagemaker")
    sagemaker.create_training_job(**training_request({"sleep": "60"}, **TWO))
    with pytest.raises(sagemaker.exceptions.ResourceLimitExceeded, match=f"at a time.*{name} runs now"):
        sagemaker.create_training_job(**training_request(TrainingJobName=f"{name}-2", **TWO))
    sagemaker.stop_training_job(TrainingJobName=name)
    assert ended(name, "TrainingJob")["TrainingJobStatus"] == "Stopped"
