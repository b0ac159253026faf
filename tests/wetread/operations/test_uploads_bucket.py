"""The uploads bucket, the stack's or a given one: each fault has the command that mends it."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from tests.fakes.wire import client_error
from wetread.operations import uploads_bucket

QUEUE = {"QueueArn": "arn:aws:sqs:eu-west-1:123456789012:theirs", "Events": ["s3:ObjectRemoved:*"]}
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd"


def test_the_command_that_turns_events_on_repeats_the_owners_notifications(connection) -> None:
    theirs = {"QueueConfigurations": [QUEUE], "ResponseMetadata": {"HTTPStatusCode": 200}}
    connection.s3.settings["notification_configuration"] = theirs
    found = uploads_bucket.check(connection)
    assert found.found == "uploads sends no events"
    (document,) = re.findall("--notification-configuration '(.*)'", found.remedy)
    assert json.loads(document) == {"QueueConfigurations": [QUEUE], "EventBridgeConfiguration": {}}


@pytest.mark.parametrize("versioning", [{}, {"Status": "Suspended"}])
def test_a_bucket_without_versions_has_the_command_for_them(connection, versioning) -> None:
    connection.s3.settings["versioning"] = versioning
    found = uploads_bucket.check(connection)
    assert found.found == "uploads keeps no versions"
    assert "put-bucket-versioning --bucket uploads --versioning-configuration Status=Enabled" in found.remedy
    assert "Deploy" not in found.remedy


@pytest.mark.parametrize(
    ("stated", "here", "well"),
    [
        ("eu-west-1", "eu-west-1", True),
        (None, "us-east-1", True),
        ("EU", "eu-west-1", True),
        ("eu-west-1", "us-east-1", False),
        (None, "eu-west-1", False),
        ("EU", "eu-central-1", False),
    ],
)
def test_a_bucket_of_another_region_sends_its_events_elsewhere(connection, stated, here, well) -> None:
    connection.s3.settings["location"] = {"LocationConstraint": stated} if stated else {}
    connection.session.region_name = here
    assert uploads_bucket.place(connection).well == well


def by_default(**rule: str) -> dict[str, object]:
    return {"ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]}}


@pytest.mark.parametrize(
    "encryption",
    [
        by_default(SSEAlgorithm="AES256"),
        by_default(SSEAlgorithm="aws:kms"),
        by_default(SSEAlgorithm="aws:kms", KMSMasterKeyID=KEY),
        by_default(SSEAlgorithm="aws:kms", KMSMasterKeyID="1234abcd"),
        by_default(SSEAlgorithm="aws:kms", KMSMasterKeyID="arn:aws:kms:us-east-1:000000000000:key/data"),
        client_error("ServerSideEncryptionConfigurationNotFoundError"),
    ],
    ids=["AWS's", "AWS's of KMS", "given", "its id", "data key", "none"],
)
def test_a_key_that_ingest_may_use_is_well(connection, encryption) -> None:
    connection.deployment = dataclasses.replace(connection.deployment, uploads_key_arn=KEY)
    connection.s3.settings["encryption"] = encryption
    assert not uploads_bucket.encryption(connection).remedy


def test_a_key_that_the_stage_was_not_given_is_a_fault_and_its_setting_named(connection) -> None:
    connection.s3.settings["encryption"] = by_default(SSEAlgorithm="aws:kms:dsse", KMSMasterKeyID=KEY)
    found = uploads_bucket.encryption(connection)
    assert not found.well
    assert found.remedy == f"Deploy with {KEY} as `uploads_key_arn`."


def test_an_alias_is_for_a_person_to_look_up(connection) -> None:
    alias = "arn:aws:kms:eu-west-1:123456789012:alias/hospital"
    connection.s3.settings["encryption"] = by_default(SSEAlgorithm="aws:kms", KMSMasterKeyID=alias)
    found = uploads_bucket.encryption(connection)
    assert not found.is_known
    assert f"describe-key --key-id {alias}" in found.remedy


def test_doctor_asks_for_place_and_key(wetread, connection) -> None:
    connection.s3.settings["location"] = {}
    connection.s3.settings["encryption"] = by_default(SSEAlgorithm="aws:kms", KMSMasterKeyID=KEY)
    found = {one["Name"]: one for one in json.loads(wetread("doctor", "--json").stdout)}
    assert found["Place of the bucket"]["Well"] is found["Key of the bucket"]["Well"] is False
