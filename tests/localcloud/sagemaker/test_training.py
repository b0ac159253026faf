"""Training jobs, from channels to the model artifact."""

from __future__ import annotations

import json

import pytest

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


def test_what_the_container_leaves_in_the_model_folder_becomes_the_artifact(
    train, name, bucket, log_lines, artifact_of
):
    job = train({"epochs": "2"})
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri == f"s3://{bucket}/out/{name}/output/model.tar.gz"
    assert artifact_of(job)["files.json"] == ["training/deep/a.dcm", "training/manifest.json"]
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


def test_a_manifest_names_the_files_of_a_channel(client, bucket, train, name, artifact_of):
    manifest = [{"prefix": f"s3://{bucket}/in/train/"}, "deep/a.dcm"]
    client("s3").put_object(Bucket=bucket, Key="in/some.manifest", Body=json.dumps(manifest).encode())
    source = {"S3DataType": "ManifestFile", "S3Uri": f"s3://{bucket}/in/some.manifest"}
    job = train(InputDataConfig=[{"ChannelName": "slices", "DataSource": {"S3DataSource": source}}])
    assert artifact_of(job)["files.json"] == ["slices/deep/a.dcm"]


def test_metrics_are_found_in_what_the_container_prints(client, train, name, training_request):
    algorithm = {
        **training_request()["AlgorithmSpecification"],
        "MetricDefinitions": [
            {"Name": "train:loss", "Regex": "train_loss=([0-9.]+)"},
            {"Name": "validation:loss", "Regex": "val_loss=([0-9.]+)"},
            {"Name": "never", "Regex": "never=([0-9.]+)"},
        ],
    }
    lines = "epoch=1 train_loss=0.9 val_loss=1.5; epoch=2 train_loss=0.25 val_loss=..."
    job = train({"print": lines}, AlgorithmSpecification=algorithm)
    metrics = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
    assert metrics == {"train:loss": 0.25, "validation:loss": 1.5}
    listed = client("cloudwatch").list_metrics(
        Namespace="/aws/sagemaker/TrainingJobs", Dimensions=[{"Name": "TrainingJobName", "Value": name}]
    )
    assert {metric["MetricName"] for metric in listed["Metrics"]} == set(metrics)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"metric": "loss=(["}, "of metric loss is invalid"),
        ({"metric": "loss="}, "has no group for the number"),
        ({"ContainerEntrypoint": ["python"]}, "ContainerEntrypoint is not supported here"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds is None, but with EnableManagedSpotTraining"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}},
            "only with EnableManagedSpotTraining",
        ),
        ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/tmp/checkpoints"}}, "must be below /opt/ml/"),
        ({"InstanceCount": 10}, "here it can be 1 to 9"),
    ],
)
def test_what_is_refused_at_once(client, training_request, members, message):
    request = training_request()
    for member, value in members.items():
        if member == "metric":
            request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "loss", "Regex": value}]
        elif member == "ContainerEntrypoint":
            request["AlgorithmSpecification"][member] = value
        elif member == "InstanceCount":
            request["ResourceConfig"][member] = value
        else:
            request[member] = value
    with pytest.raises(client("sagemaker").exceptions.ClientError, match=message):
        client("sagemaker").create_training_job(**request)


def test_settings_of_spot_and_retries_are_taken_and_described(train):
    job = train(
        EnableManagedSpotTraining=True,
        StoppingCondition={"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120},
        RetryStrategy={"MaximumRetryAttempts": 2},
        Environment={"A": "1"},
    )
    assert job["TrainingJobStatus"] == "Completed"
    assert job["RetryStrategy"] == {"MaximumRetryAttempts": 2}
    assert job["TrainingTimeInSeconds"] >= job["BillableTimeInSeconds"] >= 1
