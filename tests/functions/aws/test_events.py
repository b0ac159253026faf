"""Events are read as their sources send them: raw keys, and only a name from SageMaker."""

from __future__ import annotations

import json

import pytest

from functions.aws.events import JobEnded, job_ended, model_package_arn, object_created
from functions.domain.errors import MalformedEvent

EVENT = {
    "version": "0",
    "time": "2026-11-23T07:45:12Z",
    "detail-type": "Object Created",
    "detail": {
        "version": "0",
        "bucket": {"name": "uploads"},
        "object": {"key": "k", "size": 5, "etag": "e", "version-id": "v7", "sequencer": "00617F08299329D189"},
        "reason": "PutObject",
    },
}


@pytest.mark.parametrize("key", ["a b.dcm", "a+b.dcm", "a%2Bb.dcm", "ünï/😀.dcm", "x" * 1024])
def test_a_key_is_read_as_it_is(key: str) -> None:
    event = json.loads(json.dumps(EVENT))
    event["detail"]["object"]["key"] = key
    assert object_created(json.dumps(event)).key == key


def test_the_other_fields_are_read() -> None:
    event = object_created(json.dumps(EVENT))
    assert (event.bucket, event.version_id, event.size, event.time) == ("uploads", "v7", 5, "2026-11-23T07:45:12Z")


def test_a_bucket_without_versions_names_the_null_version() -> None:
    event = json.loads(json.dumps(EVENT))
    del event["detail"]["object"]["version-id"]
    assert object_created(json.dumps(event)).version_id == "null"


@pytest.mark.parametrize("body", ["no json", "[]", "{}", '{"detail": {}}', '{"detail": null}'])
def test_anything_else_is_an_error_that_names_the_missing_field(body: str) -> None:
    with pytest.raises(MalformedEvent):
        object_created(body)
    with pytest.raises(MalformedEvent):
        job_ended(body)


def test_a_model_package_event_gives_only_its_arn() -> None:
    body = json.dumps({"detail": {"ModelPackageArn": "arn:p/1", "ModelApprovalStatus": "Approved"}})
    assert model_package_arn(body) == "arn:p/1"
    with pytest.raises(MalformedEvent, match="ModelPackageArn"):
        model_package_arn('{"detail": {}}')


def test_a_job_event_gives_only_its_name() -> None:
    assert job_ended('{"detail": {"TransformJobName": "wetread-1", "CreationTime": 1696427182554}}') == JobEnded(
        name="wetread-1"
    )


def test_lambdas_record_of_a_lost_invocation_gives_its_run_and_itself() -> None:
    record = {
        "requestContext": {"requestId": "ab", "condition": "RetriesExhausted"},
        "requestPayload": {"Job": "wetread-1"},
    }
    assert job_ended(json.dumps(record)) == JobEnded(name="wetread-1", invocation="ab")
    with pytest.raises(MalformedEvent, match="Job"):
        job_ended('{"requestPayload": {}}')


@pytest.mark.parametrize("value", [None, 5, True, [], {}, "\ud800"])
def test_what_is_no_text_is_no_name(value: object) -> None:
    for name, read in (("TransformJobName", job_ended), ("ModelPackageArn", model_package_arn)):
        with pytest.raises(MalformedEvent, match=name):
            read(json.dumps({"detail": {name: value}}))


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "noon", "", "2026-02-30"])
def test_a_time_without_a_moment_in_utc_is_named(time: str) -> None:
    with pytest.raises(MalformedEvent, match="time"):
        object_created(json.dumps(EVENT | {"time": time}))
