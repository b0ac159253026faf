from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App

from functions.names import BY_PATIENT, PATIENT_HASH, IndexName
from infra.app import ROOT
from infra.config import MOST_TRAINING_SECONDS, StageConfig
from infra.service import Service
from tests.infra.conftest import Assembly, text
from tests.infra.permissions import ROLES

DATA_BUCKETS = ("StorageUploads", "StorageWork", "StorageResults", "StorageModels", "StorageTraining")


def test_every_bucket_is_private_and_reached_over_tls_only(default: Any) -> None:
    buckets = default.of_type("AWS::S3::Bucket")
    assert set(buckets) == {*DATA_BUCKETS, "StorageAccessLogs"}
    for name, bucket in buckets.items():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}, name
        statements = default.named("AWS::S3::BucketPolicy", f"{name}Policy")["PolicyDocument"]["Statement"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in [
            one.get("Condition") for one in statements if one["Effect"] == "Deny"
        ], name


def test_every_data_bucket_is_encrypted_with_the_services_key_and_logs_access(default: Any) -> None:
    for name in DATA_BUCKETS:
        bucket = default.named("AWS::S3::Bucket", name)
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["BucketKeyEnabled"] is True
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
        assert "LoggingConfiguration" in bucket
    assert default.named("AWS::KMS::Key", "StorageKey")["EnableKeyRotation"] is True


def test_lasting_data_are_versioned_and_transient_data_expire(default: Any) -> None:
    for name in ("StorageUploads", "StorageResults", "StorageModels", "StorageTraining"):
        bucket = default.named("AWS::S3::Bucket", name)
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        rules = bucket["LifecycleConfiguration"]["Rules"]
        assert any("NoncurrentVersionExpiration" in rule for rule in rules)
        expiring = {rule.get("Prefix") for rule in rules if "ExpirationInDays" in rule}
        assert expiring <= {"checkpoints/"}, "a person's data must not expire"
    work = default.named("AWS::S3::Bucket", "StorageWork")
    assert "VersioningConfiguration" not in work
    assert any("ExpirationInDays" in rule and "Prefix" not in rule for rule in work["LifecycleConfiguration"]["Rules"])


KEEPING = StageConfig(uploads_kept_days=30, slices_kept_days=90, results_kept_days=60, keys="hashed", image_uri="image")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Synthesise a stage that keeps data for a limited time and hides keys."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = App(outdir=str(tmp_path_factory.mktemp("kept")), context=context)
    Service(app, "Wetread", config=KEEPING)
    template = Path(app.synth().directory) / "Wetread.template.json"
    return Assembly(template.parent, json.loads(template.read_text()))


def test_data_kept_for_a_limited_time_expire_and_rows_with_the_results(kept: Assembly) -> None:
    for name, expected in {
        "StorageUploads": {("", 30)},
        "StorageResults": {("", 60)},
        "StorageTraining": {("cohorts/", 90), ("slices/", 90), ("checkpoints/", 30)},
    }.items():
        rules = kept.named("AWS::S3::Bucket", name)["LifecycleConfiguration"]["Rules"]
        expiring = {(rule.get("Prefix", ""), rule["ExpirationInDays"]) for rule in rules if "ExpirationInDays" in rule}
        assert expiring == expected
        assert any("NoncurrentVersionExpiration" in rule for rule in rules), "an expired object is a version at first"
    for function in ("IntakeIngest", "BatchCollect", "BatchSweep"):
        assert kept.environment(function)["RESULTS_KEPT_DAYS"] == "60"


def test_rows_expire_by_an_attribute_that_only_ended_ones_have(default: Any) -> None:
    for name in ("StorageIndex", "StorageStudies", "StorageKeys"):
        table = default.named("AWS::DynamoDB::Table", name)
        assert table["TimeToLiveSpecification"] == {"AttributeName": "ExpiresAt", "Enabled": True}
    assert "TimeToLiveSpecification" not in default.named("AWS::DynamoDB::Table", "StorageBatches")


def test_only_a_stage_that_hides_keys_writes_them_into_a_table_and_only_the_sweep_reads_them(
    default: Assembly, kept: Assembly
) -> None:
    def allowed(assembly: Assembly, role: str) -> set[str]:
        return {action for action, on in assembly.permissions(role) if on == "<StorageKeys>"}

    assert {role for role in ROLES if allowed(default, role)} == set()
    assert {role: actions for role in ROLES if (actions := allowed(kept, role))} == {
        "IntakeIngest": {"dynamodb:PutItem", "dynamodb:DeleteItem"},
        "BatchSweep": {"dynamodb:BatchGetItem"},  # to have uploads read again
    }
    table = {
        name: one.environment("IntakeIngest")["HIDDEN_KEYS_TABLE"]
        for name, one in (("plain", default), ("hashed", kept))
    }
    assert table == {"plain": "", "hashed": "<StorageKeys>"}


def test_abandoned_multipart_uploads_are_deleted(default: Any) -> None:
    for name in DATA_BUCKETS:
        rules = default.named("AWS::S3::Bucket", name)["LifecycleConfiguration"]["Rules"]
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules), name


def test_only_the_uploads_bucket_notifies_eventbridge(default: Any) -> None:
    telling = {
        name: bucket["NotificationConfiguration"]
        for name, bucket in default.of_type("AWS::S3::Bucket").items()
        if "NotificationConfiguration" in bucket
    }
    assert telling == {"StorageUploads": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}}


def test_the_tables_are_on_demand_recoverable_and_encrypted(default: Any) -> None:
    tables = default.of_type("AWS::DynamoDB::Table")
    keys = {name: [key["AttributeName"] for key in table["KeySchema"]] for name, table in tables.items()}
    assert keys == {
        "StorageIndex": ["UploadId"],
        "StorageBatches": ["Id"],
        "StorageStudies": ["StudyInstanceUID", "Item"],
        "StorageKeys": ["UploadId"],
    }
    for table in tables.values():
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert table["SSESpecification"]["SSEType"] == "KMS"


def test_the_table_has_an_index_for_every_query_of_the_functions(default: Any) -> None:
    indexes = {
        (
            index["IndexName"],
            *(key["AttributeName"] for key in index["KeySchema"]),
            index["Projection"]["ProjectionType"],
        )
        for index in default.named("AWS::DynamoDB::Table", "StorageIndex")["GlobalSecondaryIndexes"]
    }
    complete = {(one.title, one.partition, one.sort, "ALL") for one in IndexName}
    assert indexes == complete | {(BY_PATIENT, PATIENT_HASH, "KEYS_ONLY")}


def test_no_object_has_another_encryption_or_key_than_its_bucket(default: Any) -> None:
    for name in DATA_BUCKETS:
        statements = default.named("AWS::S3::BucketPolicy", f"{name}Policy")["PolicyDocument"]["Statement"]
        denied = {one["Sid"]: one for one in statements if one["Effect"] == "Deny" and "Sid" in one}
        header = "s3:x-amz-server-side-encryption"
        for sid, key, expected in (
            ("DenyOtherEncryption", header, "aws:kms"),
            ("DenyOtherKeys", f"{header}-aws-kms-key-id", "<StorageKey>"),
        ):
            statement = denied[sid]
            assert (statement["Action"], statement["Principal"]) == ("s3:PutObject", {"AWS": "*"})
            assert text(statement["Resource"]) == f"<{name}>/*"
            # Without the Null, a put without the header, which gets the bucket's encryption, would be denied.
            assert statement["Condition"]["Null"] == {key: "false"}
            assert text(statement["Condition"]["StringNotEquals"][key]) == expected


def test_no_upload_goes_to_an_archive_or_under_a_key_of_the_uploader(default: Any) -> None:
    policy = default.named("AWS::S3::BucketPolicy", "StorageUploadsPolicy")["PolicyDocument"]["Statement"]
    denied = {one["Sid"]: one for one in policy if "Sid" in one}
    header = "s3:x-amz-storage-class"
    # Without the Null, a put without a storage class, which gets STANDARD, would be denied.
    assert denied["DenyArchives"]["Condition"] == {
        "Null": {header: "false"},
        "StringNotEquals": {header: ["STANDARD", "INTELLIGENT_TIERING"]},
    }
    assert denied["DenyCustomerKeys"]["Condition"] == {
        "Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "false"}
    }
    for sid in ("DenyArchives", "DenyCustomerKeys"):
        assert (denied[sid]["Effect"], denied[sid]["Action"]) == ("Deny", "s3:PutObject")
        assert text(denied[sid]["Resource"]) == "<StorageUploads>/*"
    (rule,) = default.named("AWS::S3::Bucket", "StorageUploads")["BucketEncryption"][
        "ServerSideEncryptionConfiguration"
    ]
    assert rule["BlockedEncryptionTypes"] == {"EncryptionType": ["SSE-C"]}


def test_every_key_of_data_rotates(default: Any) -> None:
    keys = default.of_type("AWS::KMS::Key")
    rotating = {name for name, key in keys.items() if key.get("EnableKeyRotation")}
    # An HMAC key cannot rotate, and must not: the hash of a patient would change.
    assert {name for name in keys if name not in rotating} == {
        name for name, key in keys.items() if key.get("KeyUsage") == "GENERATE_VERIFY_MAC"
    }


def test_cloudwatch_logs_may_use_the_key_for_the_stacks_own_log_groups_only(default: Any) -> None:
    statements = default.named("AWS::KMS::Key", "StorageKey")["KeyPolicy"]["Statement"]
    (for_logs,) = (one for one in statements if "kms:EncryptionContext:aws:logs:arn" in str(one.get("Condition")))
    assert str(for_logs["Condition"]).count(":log-group:Wetread-*") == 1


def test_no_service_may_use_the_key_without_a_condition(default: Any) -> None:
    statements = default.named("AWS::KMS::Key", "StorageKey")["KeyPolicy"]["Statement"]
    assert all("Condition" in one for one in statements if "Service" in one["Principal"])


def test_artifacts_are_written_once_by_every_principal(default: Any) -> None:
    statements = default.named("AWS::S3::BucketPolicy", "StorageModelsPolicy")["PolicyDocument"]["Statement"]
    denied = {one["Sid"]: one for one in statements if "Sid" in one}
    overwrites, deletes = denied["DenyOverwrites"], denied["DenyDeletesAndReplicas"]
    for one in (overwrites, deletes):
        assert (one["Effect"], one["Principal"]) == ("Deny", {"AWS": "*"})
        assert text(one["Resource"]) == "<StorageModels>/artifacts/*"
    assert overwrites["Action"] == "s3:PutObject"
    assert overwrites["Condition"] == {
        "Null": {"s3:if-none-match": "true"},
        "Bool": {"s3:ObjectCreationOperation": "true"},
    }
    assert {"s3:DeleteObject", "s3:DeleteObjectVersion"} < set(deletes["Action"])
    assert "Condition" not in deletes


def test_only_the_models_bucket_is_write_once(default: Any) -> None:
    policies = default.of_type("AWS::S3::BucketPolicy")
    assert [name for name, one in policies.items() if "s3:if-none-match" in str(one)] == ["StorageModelsPolicy"]


def test_checkpoints_go_soon_and_not_while_a_training_may_need_them(default: Any) -> None:
    rules = default.named("AWS::S3::Bucket", "StorageTraining")["LifecycleConfiguration"]["Rules"]
    (rule,) = [one for one in rules if one.get("Prefix") == "checkpoints/"]
    assert rule["Status"] == "Enabled"
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert rule["ExpirationInDays"] * 86_400 > MOST_TRAINING_SECONDS
