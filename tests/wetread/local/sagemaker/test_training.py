"""Training jobs, from channels to the model artifact."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


@pytest.fixture
def training_request(name, bucket, job_role, client):
    client("s3").put_object(Bucket=bucket, Key="in/train/manifest.json", Body=b"[]")
    client("s3").put_object(Bucket=bucket, Key="in/train/deep/a.dcm", Body=b"a")

    def make(hyperparameters=None, **changes):
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/in/train/"}
        return {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": "x", "TrainingInputMode": "File"},
            "RoleArn": job_role,
            "HyperParameters": hyperparameters or {},
            "InputDataConfig": [{"ChannelName": "training", "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            **changes,
        }

    return make


@pytest.fixture
def train(client, training_request, ended):
    def run(hyperparameters=None, **changes):
        request = training_request(hyperparameters, **changes)
        client("sagemaker").create_training_job(**request)
        return ended(request["TrainingJobName"], "TrainingJob")

    return run


def test_what_the_container_leaves_in_the_model_folder_becomes_the_artifact(client, train, name, bucket, log_lines):
    job = train({"epochs": "2"})
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri == f"s3://{bucket}/out/{name}/output/model.tar.gz"
    body = client("s3").get_object(Bucket=bucket, Key=f"out/{name}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        files = json.load(tar.extractfile("files.json"))
    assert files == ["training/deep/a.dcm", "training/manifest.json"]
    assert "training with ['epochs']" in log_lines(LOG_GROUP, name)


def test_what_the_container_writes_to_its_failure_file_is_the_reason(train):
    job = train({"fail": "The data are too few."})
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: The data are too few., exit code: 1"
    assert "ModelArtifacts" not in job or not job["ModelArtifacts"].get("S3ModelArtifacts")


def test_a_job_out_of_time_is_stopped(train):
    job = train({"sleep": "60"}, StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_a_job_can_be_stopped(client, training_request, ended, until, name, log_lines):
    client("sagemaker").create_training_job(**training_request({"sleep": "60"}))
    until(lambda: log_lines(LOG_GROUP, name))
    client("sagemaker").stop_training_job(TrainingJobName=name)
    job = ended(name, "TrainingJob")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")


def test_the_role_must_be_able_to_write_the_artifact(client, bucket, role, train):
    reader = role(
        "sagemaker.amazonaws.com",
        ("s3:GetObject", f"arn:aws:s3:::{bucket}/*"),
        ("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
    )
    job = train(RoleArn=reader)
    assert job["FailureReason"].startswith("ClientError: The output could not be uploaded")


def test_a_name_is_used_up_and_an_empty_channel_is_refused(client, train, training_request, bucket, name):
    train()
    sagemaker = client("sagemaker")
    with pytest.raises(sagemaker.exceptions.ResourceInUse):
        sagemaker.create_training_job(**training_request())
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/nothing/"}
    channels = [{"ChannelName": "training", "DataSource": {"S3DataSource": source}}]
    with pytest.raises(sagemaker.exceptions.ClientError, match="No S3 objects found"):
        sagemaker.create_training_job(**training_request(TrainingJobName=f"{name}-2", InputDataConfig=channels))
    assert name in [job["TrainingJobName"] for job in sagemaker.list_training_jobs()["TrainingJobSummaries"]]
