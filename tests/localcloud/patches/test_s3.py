"""CopyObject's checksum, versions on disk, and the version ids in events."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from localcloud.patches import PatchError
from localcloud.patches import s3 as patches


def sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


@pytest.fixture
def versioned(client, bucket):
    client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def test_a_copy_of_an_old_version_returns_the_checksum_of_its_bytes(client, versioned, name):
    s3 = client("s3")
    s3.create_bucket(Bucket=f"{name}-work")
    old = s3.put_object(Bucket=versioned, Key="a b+ü.dcm", Body=b"old")["VersionId"]
    s3.put_object(Bucket=versioned, Key="a b+ü.dcm", Body=b"newer")

    copied = s3.copy_object(
        Bucket=f"{name}-work",
        Key="copy.dcm",
        CopySource={"Bucket": versioned, "Key": "a b+ü.dcm", "VersionId": old},
        ChecksumAlgorithm="SHA256",
    )["CopyObjectResult"]

    assert copied["ChecksumSHA256"] == sha256(b"old")
    assert s3.get_object(Bucket=f"{name}-work", Key="copy.dcm")["Body"].read() == b"old"


def test_a_copy_without_an_algorithm_keeps_the_source_s_checksum(client, bucket):
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="source", Body=b"bytes", ChecksumAlgorithm="SHA256")
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "source"})
    assert copied["CopyObjectResult"]["ChecksumSHA256"] == sha256(b"bytes")


def test_a_copy_that_fails_is_an_error_as_before(client, bucket):
    s3 = client("s3")
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchKey"):
        s3.copy_object(Bucket=bucket, Key="x", CopySource={"Bucket": bucket, "Key": "none"}, ChecksumAlgorithm="SHA256")


def test_every_version_stays_readable(client, versioned):
    s3 = client("s3")
    bodies = [f"body {number}".encode() for number in range(3)]
    versions = [s3.put_object(Bucket=versioned, Key="key", Body=body)["VersionId"] for body in bodies]
    s3.delete_object(Bucket=versioned, Key="key")
    read = [s3.get_object(Bucket=versioned, Key="key", VersionId=version)["Body"].read() for version in versions]
    assert read == bodies


@pytest.fixture
def watched(client, versioned, queue, name):
    """The URL of a queue that gets the bucket's events through EventBridge."""
    url, arn = queue()
    rule = client("events").put_rule(
        Name=name, EventPattern=json.dumps({"source": ["aws.s3"], "detail": {"bucket": {"name": [versioned]}}})
    )["RuleArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    client("events").put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    client("s3").put_bucket_notification_configuration(
        Bucket=versioned, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    return url


@pytest.mark.parametrize("key", ["plain.dcm", "with space.dcm", "plus+plus.dcm", "ünïcode/漢字.dcm", "percent%20.dcm"])
def test_an_event_names_the_raw_key_and_the_version(client, versioned, watched, received, key):
    version = client("s3").put_object(Bucket=versioned, Key=key, Body=b"12345")["VersionId"]
    (event,) = received(watched, seconds=10)
    assert event["detail-type"] == "Object Created"
    assert event["detail"]["object"]["key"] == key
    assert event["detail"]["object"]["version-id"] == version
    assert event["detail"]["object"]["size"] == 5
    assert int(event["detail"]["object"]["sequencer"], 16) > 0
    assert event["detail"]["reason"] == "PutObject"


def test_loopback_counts_as_secure_transport(client, bucket, function, invoke):
    """A bucket policy that denies plain HTTP, as `enforce_ssl` writes it, does not lock every caller out."""
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    client("s3").put_bucket_policy(Bucket=bucket, Policy=policy)
    source = "import boto3\ndef handler(bucket, _): boto3.client('s3').put_object(Bucket=bucket, Key='key', Body=b'')"
    assert invoke(function(source, ("s3:PutObject", f"arn:aws:s3:::{bucket}/*")), bucket) == (None, False)


def test_no_body_is_kept_in_memory(module, monkeypatch):
    s3 = module("services.s3")
    monkeypatch.setattr(s3, "S3_PERSIST", True)
    patches.install_versions_on_disk()
    record = {"last_modified": "now", "etag": "e", "size": 4}
    assert s3._version_entry_from_record(record, "1", b"body")["data"] is None


def test_without_files_no_body_may_be_dropped(module, monkeypatch):
    monkeypatch.setattr(module("services.s3"), "S3_PERSIST", False)
    with pytest.raises(PatchError, match="S3 persistence is off"):
        patches.install_versions_on_disk()


def test_a_read_of_a_version_gives_the_range_that_was_asked_for(client, versioned):
    s3 = client("s3")
    old = s3.put_object(Bucket=versioned, Key="key", Body=b"0123456789")["VersionId"]
    empty = s3.put_object(Bucket=versioned, Key="key", Body=b"")["VersionId"]

    def read(wanted: str, version: str = old) -> tuple[str, bytes]:
        answer = s3.get_object(Bucket=versioned, Key="key", VersionId=version, Range=wanted)
        return answer["ContentRange"], answer["Body"].read()

    assert read("bytes=0-3") == ("bytes 0-3/10", b"0123")
    assert read("bytes=8-99") == ("bytes 8-9/10", b"89")
    assert read("bytes=4-") == ("bytes 4-9/10", b"456789")
    with pytest.raises(s3.exceptions.ClientError, match="InvalidRange"):
        read("bytes=0-3", empty)
