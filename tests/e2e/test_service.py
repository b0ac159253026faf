"""Uploads to rows through the deployed template: many at once, broken ones, repeated events, real slices."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from functions.domain.row import Status
from tests.e2e.conftest import Service
from wetread.demo.defects import DEFECTS
from wetread.demo.phantoms import phantom_bytes, write_cohort

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """300 different slices of 60 patients."""
    folder = tmp_path_factory.mktemp("phantoms")
    return [one.path.read_bytes() for one in write_cohort(folder, patients=60, slices_per_patient=5, size=128)]


def object_created(bucket: str, key: str, version: str, size: int) -> str:
    """S3's event, as EventBridge delivers it."""
    s3_object = {"key": key, "size": size, "version-id": version, "sequencer": "01"}
    detail = {"bucket": {"name": bucket}, "object": s3_object}
    return json.dumps({"time": "2026-11-23T00:00:00Z", "detail-type": "Object Created", "detail": detail})


def repeat_events(service: Service, bodies: Mapping[str, bytes], count: int) -> None:
    """Deliver the events of the first uploads once more."""
    bucket = service.connection.deployment.uploads_bucket_name
    queue = service.queue_url("Uploads")
    for key in list(bodies)[:count]:
        version = service.connection.s3.head_object(Bucket=bucket, Key=key)["VersionId"]
        body = object_created(bucket, key, version, len(bodies[key]))
        service.connection.sqs.send_message(QueueUrl=queue, MessageBody=body)


def test_300_phantoms_20_bad_objects_and_30_repeated_events(service: Service, phantoms: list[bytes]) -> None:
    refusing = [defect for defect in DEFECTS if defect.status == Status.REFUSED]
    good = {f"many/{number:03d}.dcm": body for number, body in enumerate(phantoms)}
    plain = phantom_bytes("normal", 500, 0, size=128, seed=3)
    bad = {f"many/bad-{number}.dcm": refusing[number % len(refusing)].spoil(plain) for number in range(20)}
    jobs_before = set(service.jobs())

    uploads = service.put_all(good | bad)
    repeat_events(service, good, 30)
    rows = service.rows(uploads)

    assert Counter(rows[key].status for key in good) == {Status.COMPLETED: 300}
    assert Counter(rows[key].status for key in bad) == {Status.REFUSED: 20}
    for number, key in enumerate(bad):
        assert rows[key].code == refusing[number % len(refusing)].code
        assert rows[key].reason
    jobs = set(service.jobs()) - jobs_before
    assert len(jobs) <= 3, jobs
    assert {rows[key].transform_job_name for key in good} == jobs
    assert len({rows[key].prediction_key for key in good}) == 300
    dead = service.connection.deployment.dead_letter_queue_urls
    for queue in dead:
        count = service.connection.sqs.get_queue_attributes(
            QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"]
        )
        assert count["Attributes"]["ApproximateNumberOfMessages"] == "0"


def test_every_defect_ends_as_it_says(service: Service) -> None:
    good = {defect.name: phantom_bytes("cap", 700 + n, 0, size=128, seed=5) for n, defect in enumerate(DEFECTS)}
    uploads = service.put_all({f"defects/{one.name}.dcm": one.spoil(good[one.name]) for one in DEFECTS})
    rows = service.rows(uploads)
    found = {one.name: (row.status, row.code) for one in DEFECTS for row in [rows[f"defects/{one.name}.dcm"]]}
    assert found == {one.name: (one.status, one.code) for one in DEFECTS}


def test_the_25_real_slices_are_repaired_and_read(service: Service, real_slices: list[Path]) -> None:
    uploads = service.put_all({f"real/{path.name}": path.read_bytes() for path in real_slices})
    rows = service.rows(uploads)
    assert len(rows) == 25
    assert {row.status for row in rows.values()} == {Status.COMPLETED}
    assert {len(row.repairs) for row in rows.values()} == {3}
    assert len({row.sop_instance_uid for row in rows.values()}) == 25


@pytest.mark.parametrize(
    "key", ["with space.dcm", "plus+and%2Bmore.dcm", "ünï/cödé 画像 😀.dcm", "x" * 1000, "a/../b.dcm", "no-extension"]
)
def test_any_key_is_taken_as_it_is(service: Service, key: str) -> None:
    body = phantom_bytes("covid", 900 + len(key), 0, size=128, seed=7)
    row = service.rows({key: service.put(key, body)})[key]
    assert (row.key, row.status) == (key, Status.COMPLETED)


def test_200_megabytes_are_refused_unread(service: Service) -> None:
    key = "big.dcm"
    row = service.rows({key: service.put(key, bytes(200_000_000))})[key]
    assert (row.status, row.code) == (Status.REFUSED, "TooLarge")


def test_an_overwrite_and_a_delete_change_nothing_for_uploads_under_way(service: Service) -> None:
    bucket = service.connection.deployment.uploads_bucket_name
    first, second = (phantom_bytes(label, 950, 0, size=128, seed=9) for label in ("normal", "covid"))
    uploads = {"first": service.put("overwritten.dcm", first), "second": service.put("overwritten.dcm", second)}
    uploads["deleted"] = service.put("deleted.dcm", first)
    service.connection.s3.delete_object(Bucket=bucket, Key="deleted.dcm")
    rows = service.rows(uploads)
    assert {row.status for row in rows.values()} == {Status.COMPLETED}
    assert rows["first"].content_sha256 == rows["deleted"].content_sha256 != rows["second"].content_sha256
    assert rows["first"].prediction_key == rows["deleted"].prediction_key


def test_a_version_that_is_gone_before_ingest_is_refused_by_name(service: Service) -> None:
    bucket = service.connection.deployment.uploads_bucket_name
    body = object_created(bucket, "never-there.dcm", "0123456789", 1000)
    service.connection.sqs.send_message(QueueUrl=service.queue_url("Uploads"), MessageBody=body)
    from functions.domain import layout

    row = service.rows({"gone": layout.upload_id("never-there.dcm", "0123456789")})["gone"]
    assert (row.status, row.code) == (Status.REFUSED, "ObjectGone")


def as_role_of(service: Service, function: str) -> Any:
    """Return an S3 client with a function's permissions."""
    pages = service.connection.client("lambda").get_paginator("list_functions").paginate()
    (role,) = (one["Role"] for page in pages for one in page["Functions"] if function in one["FunctionName"])
    session = service.connection.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return boto3.client(
        "s3",
        endpoint_url=service.connection.s3.meta.endpoint_url,
        region_name=service.connection.s3.meta.region_name,
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )


def test_nothing_is_stored_under_another_encryption_or_another_key(service: Service) -> None:
    s3, bucket = as_role_of(service, "Gate"), service.connection.deployment.training_bucket_name
    encryption = service.connection.s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    key_arn = encryption["Rules"][0]["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"]
    ours = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_arn}

    def put(headers: dict[str, str], key: str = "runs/test/note.json") -> None:
        s3.put_object(Bucket=bucket, Key=key, Body=b"{}", **headers)

    put({})
    put(ours)
    for refused in ({"ServerSideEncryption": "AES256"}, ours | {"SSEKMSKeyId": f"{key_arn}0"}):
        with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
            put(refused)
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        put({}, "cohorts/test/note.json")
