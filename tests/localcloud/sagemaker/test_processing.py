"""Processing jobs, from inputs to outputs, logs and events."""

from __future__ import annotations

import json

import pytest

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
INPUT = "/opt/ml/processing/input"


@pytest.fixture
def processing_request(name, bucket, job_role, client):
    for key, body in {"in/a/1.dcm": b"one", "in/a/deep/2.dcm": b"two", "in/b.json": b"{}"}.items():
        client("s3").put_object(Bucket=bucket, Key=key, Body=body)

    def make(*arguments, **changes):
        inputs = [source("one", f"s3://{bucket}/in/a/"), source("two", f"s3://{bucket}/in/b.json")]
        cluster = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 5}
        return {
            "ProcessingJobName": name,
            "RoleArn": job_role,
            "AppSpecification": {"ImageUri": "x", "ContainerArguments": list(arguments or ("a=1",))},
            "ProcessingResources": {"ClusterConfig": cluster},
            "ProcessingInputs": inputs,
            "ProcessingOutputConfig": {"Outputs": [target("report", f"s3://{bucket}/out/run")]},
            **changes,
        }

    return make


def source(name, uri, **members):
    entry = {"S3Uri": uri, "LocalPath": f"{INPUT}/{name}", "S3DataType": "S3Prefix", "S3InputMode": "File", **members}
    return {"InputName": name, "S3Input": entry}


def target(name, uri, **members):
    entry = {"S3Uri": uri, "LocalPath": "/opt/ml/processing/output/report", "S3UploadMode": "EndOfJob", **members}
    return {"OutputName": name, "S3Output": entry}


@pytest.fixture
def process(client, processing_request, ended):
    def run(*arguments, **changes):
        request = processing_request(*arguments, **changes)
        client("sagemaker").create_processing_job(**request)
        return ended(request["ProcessingJobName"], "ProcessingJob")

    return run


@pytest.fixture
def refused(client, processing_request):
    def message(**changes):
        sagemaker = client("sagemaker")
        with pytest.raises(sagemaker.exceptions.ClientError) as error:
            sagemaker.create_processing_job(**processing_request(**changes))
        return f"{error.value.response['Error']['Code']}: {error.value.response['Error']['Message']}"

    return message


def test_inputs_go_where_they_are_wanted_and_outputs_come_back(process, outputs, log_lines, name):
    job = process("a=1", "b=2", Environment={"FAKE_SETTING": "of the job"})
    assert job["ProcessingJobStatus"] == "Completed", job
    assert job["ProcessingEndTime"] >= job["ProcessingStartTime"] >= job["CreationTime"]
    assert "ExitMessage" not in job
    document = json.loads(outputs()["run/deep/files.json"])
    assert document["files"] == ["input/one/1.dcm", "input/one/deep/2.dcm", "input/two/b.json"]
    assert document["setting"] == "of the job"
    assert "processing ['a', 'b']" in log_lines(LOG_GROUP, name)


def test_a_manifest_names_the_inputs(client, bucket, process, outputs):
    manifest = json.dumps([{"prefix": f"s3://{bucket}/in/a/"}, "deep/2.dcm"]).encode()
    client("s3").put_object(Bucket=bucket, Key="in/slices.manifest", Body=manifest)
    inputs = [source("slices", f"s3://{bucket}/in/slices.manifest", S3DataType="ManifestFile")]
    process("a=1", ProcessingInputs=inputs)
    assert json.loads(outputs()["run/deep/files.json"])["files"] == ["input/slices/deep/2.dcm"]


def test_a_job_that_fails_says_why_and_leaves_its_outputs(process, outputs, client, name):
    job = process("exit=3", "message=No slice can be read.")
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["ExitMessage"] == "No slice can be read."
    assert job["FailureReason"] == "AlgorithmError: No slice can be read., exit code: 3"
    assert list(outputs()) == ["run/deep/files.json"]
    (summary,) = client("sagemaker").list_processing_jobs(NameContains=name, StatusEquals="Failed")[
        "ProcessingJobSummaries"
    ]
    assert summary["ExitMessage"] == "No slice can be read."


def test_a_message_is_kept_to_its_length_also_of_a_job_that_went_well(process):
    assert process("message=x", "times=2000")["ExitMessage"] == "x" * 1024


def test_a_job_that_is_stopped_or_out_of_time_leaves_its_outputs(
    client, process, processing_request, outputs, until, ended, log_lines, name
):
    client("sagemaker").create_processing_job(**processing_request("sleep=60", ProcessingJobName=f"{name}-s"))
    until(lambda: log_lines(LOG_GROUP, f"{name}-s"))
    client("sagemaker").stop_processing_job(ProcessingJobName=f"{name}-s")
    assert ended(f"{name}-s", "ProcessingJob")["ProcessingJobStatus"] == "Stopped"
    late = process("sleep=60", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert late["ProcessingJobStatus"] == "Stopped"
    assert list(outputs()) == ["run/deep/files.json"]


def test_the_role_must_be_able_to_read_inputs_and_to_write_outputs(bucket, role, process, refused, name):
    listing = ("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    reading = ("s3:GetObject", f"arn:aws:s3:::{bucket}/*")
    unlisted = role("sagemaker.amazonaws.com", reading)
    assert "No S3 objects found" in refused(RoleArn=unlisted)
    unread = process(RoleArn=role("sagemaker.amazonaws.com", listing), ProcessingJobName=f"{name}-1")
    assert unread["FailureReason"].startswith("ClientError: Data download failed: 1.dcm")
    mute = role("sagemaker.amazonaws.com", listing, reading)
    unwritten = process(RoleArn=mute, ProcessingJobName=f"{name}-2")
    assert unwritten["FailureReason"].startswith("ClientError: The output could not be uploaded")
    failed = process("exit=2", RoleArn=mute, ProcessingJobName=f"{name}-3")
    assert failed["FailureReason"] == "AlgorithmError: , exit code: 2"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"AppSpecification": {"ImageUri": "x", "ContainerEntrypoint": ["python"]}}, "image's own ENTRYPOINT runs"),
        ({"ProcessingInputs": [source("a", "s3://b/k", LocalPath="/tmp/a")]}, "must be below /opt/ml/processing/"),
        (
            {"ProcessingInputs": [source("a", "s3://b/k", LocalPath=f"{INPUT}/../../../x")]},
            "must be below /opt/ml/processing/",
        ),
        ({"ProcessingInputs": [source("a", "s3://b/k", S3InputMode="Pipe")]}, "S3InputMode Pipe is not supported"),
        ({"ProcessingInputs": [{"InputName": "a"}]}, "Input a has no S3Input"),
        ({"ProcessingInputs": [source("a", "https://b/k")]}, "is no S3 URI"),
        (
            {"ProcessingInputs": [source("a", "s3://b/k"), source("a", "s3://b/l")]},
            "must differ from each other: a, a, report",
        ),
        (
            {"ProcessingOutputConfig": {"Outputs": [target("a", "s3://b/k", S3UploadMode="Continuous")]}},
            "S3UploadMode Continuous is not supported",
        ),
        ({"ProcessingJobName": "under_score"}, "regular expression pattern"),
        (
            {
                "ProcessingResources": {
                    "ClusterConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 1}
                }
            },
            "processes on 1 instance; InstanceCount is 2",
        ),
        ({"RoleArn": "arn:aws:iam::000000000000:role/absent"}, "Could not assume role"),
    ],
)
def test_what_is_refused_at_once(refused, changes, message):
    assert message in refused(**changes)


def test_a_name_is_used_up_and_the_quota_is_of_all_jobs(client, process, processing_request, refused, name):
    process()
    assert refused().startswith("ResourceInUse")
    sagemaker = client("sagemaker")
    running = [f"{name}-{number}" for number in range(8)]
    for job in running:
        sagemaker.create_processing_job(**processing_request("sleep=60", ProcessingJobName=job))
    assert "'ml.m5.xlarge for processing job usage' is 8 Instances, with current utilization of 8 Instances" in refused(
        ProcessingJobName=f"{name}-more"
    )
    for job in running:
        sagemaker.stop_processing_job(ProcessingJobName=job)


def test_events_mirror_the_description(process, events_of, name):
    read = events_of("SageMaker Processing Job State Change", "ProcessingJobName", name)
    job = process("message=done")
    details = {event["detail"]["ProcessingJobStatus"]: event["detail"] for event in read()}
    assert sorted(details) == ["Completed", "InProgress"]
    assert details["Completed"]["ExitMessage"] == "done"
    assert details["Completed"]["ProcessingEndTime"] == int(job["ProcessingEndTime"].timestamp() * 1000)


def test_outputs_are_encrypted_with_the_key_that_is_asked_for(client, bucket, process, role):
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    everything = role("sagemaker.amazonaws.com", ("s3:*", "*"), ("kms:*", key))
    config = {"Outputs": [target("report", f"s3://{bucket}/out/run")], "KmsKeyId": key}
    assert process(RoleArn=everything, ProcessingOutputConfig=config)["ProcessingJobStatus"] == "Completed"
    written = client("s3").head_object(Bucket=bucket, Key="out/run/deep/files.json")
    assert (written["ServerSideEncryption"], written["SSEKMSKeyId"]) == ("aws:kms", key)
