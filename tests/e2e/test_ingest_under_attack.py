"""Uploads made to starve ingest of time or memory: each has a row, and so has each neighbour, its answer.

Lambda's limits of memory and time are the deployed ones. The time after which a message comes again is shortened, or
the tests would wait for minutes. No object kills the deployed function any more: what becomes of one that does is
tested in tests/functions/flow/test_ingest_under_attack.py, and by the fault that kills functions.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from pydicom import uid

from functions.domain import layout
from functions.domain.row import Row, Status
from tests.e2e.conftest import Service
from tests.e2e.controls import log
from tests.fakes.dicom import ct
from wetread.demo.phantoms import phantom_bytes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

MIB = 1024 * 1024
EMPTY_ELEMENT = struct.pack("<HH2sH", 0x0008, 0x0001, b"LO", 0)


def deflated(data_set: bytes) -> bytes:
    """Return a file of Deflated Explicit VR Little Endian with this data set."""
    syntax = uid.DeflatedExplicitVRLittleEndian.encode()
    value = syntax + b"\0" * (len(syntax) % 2)
    meta = struct.pack("<HH2sH", 0x0002, 0x0010, b"UI", len(value)) + value
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return bytes(128) + b"DICM" + meta + compressor.compress(data_set) + compressor.flush()


def of_elements() -> bytes:
    """Return 30 KB that inflate to two million elements."""
    return deflated(EMPTY_ELEMENT * (20 * MIB // len(EMPTY_ELEMENT)))


def of_one_value(number: int) -> bytes:
    """Return a slice of 16 KB with a PatientID of nearly the inflation limit."""
    value = b"\xff" * (15 * MIB) + f"{number:6d}".encode()
    patient = struct.pack("<HH2sHL", 0x0010, 0x0020, b"UN", 0, len(value)) + value
    plain = ct()
    data_set = plain[plain.index(struct.pack("<HH2s", 0x0008, 0x0016, b"UI")) :]
    return deflated(patient_in(data_set, patient))


def patient_in(data_set: bytes, patient: bytes) -> bytes:
    """Return the data set with another PatientID, which comes before group 0020."""
    at = data_set.index(struct.pack("<HH2s", 0x0020, 0x000D, b"UI"))
    return data_set[:at] + patient + data_set[at:]


def neighbours(first: int, number: int) -> dict[str, bytes]:
    return {f"attack-{first}/good-{n}.dcm": phantom_bytes("cap", first + n, 0, size=64, seed=11) for n in range(number)}


@contextmanager
def hastened(service: Service, seconds: int) -> Iterator[None]:
    """Set the seconds after which a message is redelivered."""
    sqs = service.connection.sqs
    urls = [service.queue_url("IntakeUploads"), service.queue_url("IntakeRetry")]
    before = [
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"] for url in urls
    ]
    for url in urls:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})
    try:
        yield
    finally:
        for url, attributes in zip(urls, before, strict=True):
            sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)


def dead_letters(service: Service) -> int:
    count = "ApproximateNumberOfMessages"
    return sum(
        int(service.connection.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[count])["Attributes"][count])
        for url in service.connection.deployment.dead_letter_queue_urls
    )


def assert_each_its_own(rows: Mapping[str, Row], good: Mapping[str, bytes], codes: set[str]) -> None:
    assert Counter(rows[key].status for key in good) == {Status.COMPLETED: len(good)}
    bad = [row for key, row in rows.items() if key not in good]
    assert {row.status for row in bad} == {Status.REFUSED}
    assert {row.code for row in bad} <= codes, Counter(row.code for row in bad)


def test_bombs_of_elements_get_their_rows_and_so_do_their_neighbours(service: Service) -> None:
    good = neighbours(2000, 30)
    bad = {f"attack-2000/bomb-{n}": of_elements() for n in range(20)}
    with hastened(service, 40):
        rows = service.rows(service.put_all(bad | good), seconds=420)
    assert_each_its_own(rows, good, {"HeaderTooLong"})
    assert dead_letters(service) == 0


def test_values_that_fill_the_memory_leave_room_for_all(service: Service) -> None:
    good = neighbours(2100, 10)
    bad = {f"attack-2100/bomb-{n}": of_one_value(n) for n in range(48)}
    with hastened(service, 40):
        rows = service.rows(service.put_all(bad | good), seconds=420)
    assert {row.status.terminal for row in rows.values()} == {True}
    assert Counter(rows[key].status for key in good) == {Status.COMPLETED: len(good)}
    assert "Runtime.OutOfMemory" not in log(service, "IntakeIngest")
    assert dead_letters(service) == 0


def test_a_key_with_a_line_break_is_taken_as_it_is(service: Service) -> None:
    for key in ("line\nbreak.dcm", "at the end\n"):
        row = service.rows({key: service.put(key, phantom_bytes("cap", 2300 + len(key), 0, size=64))})[key]
        assert (row.key, row.status) == (key, Status.COMPLETED)


def test_an_upload_into_an_archive_or_under_the_uploaders_key_is_denied(service: Service) -> None:
    bucket, s3 = service.connection.deployment.uploads_bucket_name, uploader(service)
    for allowed in ({}, {"StorageClass": "STANDARD"}, {"StorageClass": "INTELLIGENT_TIERING"}):
        s3.put_object(Bucket=bucket, Key="stored.txt", Body=b"x", **allowed)
    for refused in (*ARCHIVES, own_key()):
        with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
            s3.put_object(Bucket=bucket, Key="stored.txt", Body=b"x", **refused)
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.create_multipart_upload(Bucket=bucket, Key="stored.txt", StorageClass="GLACIER")


def test_what_is_archived_all_the_same_is_refused_at_once(service: Service) -> None:
    """The account's own key, which no policy binds in the local cloud, puts it there."""
    bucket, s3 = service.connection.deployment.uploads_bucket_name, service.connection.s3
    for number, (how, code) in enumerate([*((one, "Archived") for one in ARCHIVES), (own_key(), "CustomerKey")]):
        key = f"all-the-same-{number}.dcm"
        version = s3.put_object(Bucket=bucket, Key=key, Body=phantom_bytes("cap", 2500, 0, size=64), **how)["VersionId"]
        row = service.rows({key: layout.upload_id(key, version)}, seconds=60)[key]
        assert (row.status, row.code) == (Status.REFUSED, code)


ARCHIVES = ({"StorageClass": "GLACIER"}, {"StorageClass": "DEEP_ARCHIVE"})


def own_key() -> dict[str, str]:
    """Return the parameters of a put with a customer-provided key."""
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "0123456789abcdef" * 2}


def uploader(service: Service) -> Any:
    """Return an S3 client that may put objects into the uploads bucket and no more."""
    iam, name = service.connection.client("iam"), "uploader-of-test"
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    put = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [trust]}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
    document = {"Version": "2012-10-17", "Statement": [put]}
    iam.put_role_policy(RoleName=name, PolicyName="put", PolicyDocument=json.dumps(document))
    session = service.connection.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return boto3.client(
        "s3",
        endpoint_url=service.connection.s3.meta.endpoint_url,
        region_name=service.connection.s3.meta.region_name,
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )
