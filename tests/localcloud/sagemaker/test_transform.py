"""Batch transform, from CreateTransformJob to outputs, logs and events."""

from __future__ import annotations

import hashlib
import json
import time

import pytest

from localcloud.sagemaker.transform import ANSWERS

LOG_GROUP = "/aws/sagemaker/TransformJobs"


@pytest.fixture
def run(client, transform_request, ended):
    def start_and_wait(uri, **changes):
        request = transform_request(uri, **changes)
        client("sagemaker").create_transform_job(**request)
        return ended(request["TransformJobName"])

    return start_and_wait


def test_every_object_of_a_manifest_is_posted_once_and_has_an_output(model, upload, run, outputs, log_lines, name):
    model(FAKE_SETTING="of the model")
    bodies = {f"object{number}.dcm": f"object {number}".encode() for number in range(12)}

    job = run(upload(**bodies), MaxConcurrentTransforms=4, Environment={"FAKE_SETTING": "of the job"})

    assert job["TransformJobStatus"] == "Completed"
    assert job["TransformEndTime"] >= job["TransformStartTime"] >= job["CreationTime"]
    answers = {key: json.loads(body) for key, body in outputs().items()}
    assert {key: answer["sha256"] for key, answer in answers.items()} == {
        f"{key}.out": hashlib.sha256(body).hexdigest() for key, body in bodies.items()
    }
    answer = answers["object0.dcm.out"]
    assert answer["type"] == "application/dicom"
    assert answer["model"] == ["model.pth"]
    assert answer["environment"] == {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "4",
        "FAKE_SETTING": "of the job",
        "AWS_ACCESS_KEY_ID": None,
    }
    lines = log_lines(LOG_GROUP, name)
    assert "serving the fake model" in lines
    assert any("MaxConcurrentTransforms=4, MaxPayloadInMB=6" in line for line in lines)


def test_a_prefix_names_all_that_begins_with_it(client, bucket, model, run, outputs, transform_request):
    model()
    for key in ("in/a/1.dcm", "in/a/b/2.dcm", "in/c/3.dcm"):
        client("s3").put_object(Bucket=bucket, Key=key, Body=b"x")
    run(f"s3://{bucket}/in/a/", kind="S3Prefix")
    assert sorted(outputs()) == ["1.dcm.out", "b/2.dcm.out"]


def test_one_failed_object_fails_the_job_and_leaves_the_others_outputs(model, upload, run, outputs, log_lines, name):
    model()
    job = run(upload(good=b"good", bad=b"status 400", broken=b"status 500", again=b"once x"))
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information"
    assert sorted(outputs()) == ["again.out", "good.out"]
    assert outputs()["again.out"] == b"second time"
    lines = [line for line in log_lines(LOG_GROUP, name) if "Bad HTTP status" in line]
    assert sorted(line.rpartition("logs]: ")[2].split(":")[0] for line in lines) == ["bad", "broken"]


def test_too_large_absent_and_forbidden_objects_are_the_client_s_fault(
    client, bucket, model, upload, run, outputs, transform_request, log_lines, name
):
    model()
    upload(good=b"good", large=b"x" * (1024 * 1024 + 1))
    client("s3").put_object(Bucket=bucket, Key="forbidden", Body=b"x")
    manifest = json.dumps([{"prefix": f"s3://{bucket}/"}, "in/good", "in/large", "in/absent", "forbidden"])
    client("s3").put_object(Bucket=bucket, Key="in/other.json", Body=manifest.encode())
    job = run(f"s3://{bucket}/in/other.json", MaxPayloadInMB=1)
    assert job["FailureReason"] == "ClientError: See job logs for more information"
    assert sorted(outputs()) == ["in/good.out"]
    log = "\n".join(log_lines(LOG_GROUP, name))
    assert "in/large: 1048577 bytes are more than MaxPayloadInMB=1 allows" in log
    assert "in/absent: An error occurred (NoSuchKey)" in log
    assert "forbidden: An error occurred (AccessDenied)" in log


def test_the_container_s_advice_is_taken(model, upload, run, log_lines, name):
    model(FAKE_PARAMETERS='{"MaxConcurrentTransforms": 3, "MaxPayloadInMB": 7}')
    run(upload(a=b"a"))
    assert any("MaxConcurrentTransforms=3, MaxPayloadInMB=7" in line for line in log_lines(LOG_GROUP, name))


def test_an_invocation_that_takes_too_long_fails(model, upload, run):
    model()
    client_configuration = {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0}
    job = run(upload(slow=b"sleep 20"), ModelClientConfig=client_configuration)
    assert (job["TransformJobStatus"], job["FailureReason"][:14]) == ("Failed", "AlgorithmError")


def test_a_container_that_dies_fails_the_job(model, upload, run, outputs):
    model()
    job = run(upload(a=b"a", b=b"die", c=b"c"), MaxConcurrentTransforms=1)
    assert (job["TransformJobStatus"], job["FailureReason"][:14]) == ("Failed", "AlgorithmError")
    assert sorted(outputs()) == ["a.out"]


@pytest.mark.parametrize(
    ("environment", "reason"),
    [({"FAKE_START": "crash"}, "ended before it answered /ping"), ({"FAKE_PING": "never"}, "within 3 seconds")],
)
def test_a_container_that_does_not_start_fails_the_job(model, upload, run, log_lines, name, environment, reason):
    model(**environment)
    job = run(upload(a=b"a"))
    assert job["TransformJobStatus"] == "Failed"
    assert reason in job["FailureReason"]
    assert any("serving the fake model" in line for line in log_lines(LOG_GROUP, name))


def test_a_stopped_job_ends_its_container_and_has_no_output_at_all(
    client, model, upload, transform_request, ended, outputs, until, here
):
    """As on AWS: "SageMaker doesn't store the job's output", not even of objects that were read before."""
    model()
    request = transform_request(upload(fast=b"fast", slow=b"sleep 60"), MaxConcurrentTransforms=1)
    sagemaker = client("sagemaker")
    sagemaker.create_transform_job(**request)
    until(lambda: [*here.home.scratch.glob(f"jobs/{request['TransformJobName']}-*/{ANSWERS}/*")])
    assert outputs() == {}, "outputs appear when the job ends"
    asked = time.monotonic()
    sagemaker.stop_transform_job(TransformJobName=request["TransformJobName"])
    assert ended(request["TransformJobName"])["TransformJobStatus"] == "Stopped"
    assert time.monotonic() - asked < 15
    assert outputs() == {}
    with pytest.raises(sagemaker.exceptions.ClientError, match="the job is in status Stopped"):
        sagemaker.stop_transform_job(TransformJobName=request["TransformJobName"])


def test_events_mirror_the_description_in_the_real_events_form(model, upload, run, events_of, name):
    model()
    read = events_of("SageMaker Transform Job State Change", "TransformJobName", name)
    job = run(upload(a=b"a"), Tags=[{"Key": "batch", "Value": "7"}])
    events = read()
    assert sorted(event["detail"]["TransformJobStatus"] for event in events) == ["Completed", "InProgress"]
    (last,) = [event for event in events if event["detail"]["TransformJobStatus"] == "Completed"]
    detail = last["detail"]
    assert last["source"] == "aws.sagemaker"
    assert last["resources"] == [job["TransformJobArn"]] == [detail["TransformJobArn"]]
    assert detail["CreationTime"] == int(job["CreationTime"].timestamp() * 1000)
    assert isinstance(detail["TransformEndTime"], int)
    assert detail["Tags"] == {"batch": "7"}
    assert detail["TransformInput"] == job["TransformInput"]
    assert detail["ModelName"] == name
