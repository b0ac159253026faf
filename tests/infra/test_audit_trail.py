"""The trail of a stage with audit_trail; other stages have no trail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import App

from infra.app import ROOT
from infra.compliance import review
from infra.config import ConfigError, StageConfig
from infra.service import Service
from tests.infra.conftest import Assembly, text

DAYS = 2190
TRAIL = "arn:<AWS::Partition>:cloudtrail:<AWS::Region>:<AWS::AccountId>:trail/wetread-audit"
ONLY_IT = {"aws:SourceArn": TRAIL}


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Synthesise a stage with a trail of six years, whose data are deleted with the stack; cdk-nag accepts it."""
    folder = tmp_path_factory.mktemp("audited")
    app = App(outdir=str(folder), context=json.loads((ROOT / "cdk.json").read_text())["context"])
    config = StageConfig(audit_trail=True, audit_kept_days=DAYS, protect_data=False, image_uri="image")
    Service(app, "Wetread", config=config)
    review(app)
    app.synth()
    return Assembly(folder, json.loads((folder / "Wetread.template.json").read_text()))


def selectors(assembly: Assembly) -> dict[str, dict[str, Any]]:
    """Return name of a selector -> its fields with the values that they are compared with."""
    trail = assembly.named("AWS::CloudTrail::Trail", "AuditTrail")
    return {
        one["Name"]: {
            field["Field"]: [text(value) for name in field.keys() - {"Field"} for value in field[name]]
            for field in one["FieldSelectors"]
        }
        for one in trail["AdvancedEventSelectors"]
    }


def of_service(statements: list[dict[str, Any]]) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return what the policy of a bucket or key allows CloudTrail: resource -> actions and conditions."""
    return {
        text(one["Resource"]): (
            one["Action"] if isinstance(one["Action"], list) else [one["Action"]],
            {key: text(value) for key, value in one["Condition"]["StringEquals"].items()},
        )
        for one in statements
        if one["Effect"] == "Allow" and one["Principal"] == {"Service": "cloudtrail.amazonaws.com"}
    }


def test_a_stage_keeps_no_trail_by_default(default: Assembly, local: Assembly) -> None:
    for assembly in (default, local):
        types = {one["Type"] for one in assembly.template["Resources"].values()}
        assert "AWS::CloudTrail::Trail" not in types


def test_the_trail_has_every_access_to_every_table_and_data_bucket(audited: Assembly) -> None:
    found = selectors(audited)
    tables = {f"<{name}>" for name in audited.of_type("AWS::DynamoDB::Table")}
    assert set(found["Rows"].pop("resources.ARN")) == tables
    buckets = set(audited.of_type("AWS::S3::Bucket")) - {"StorageAccessLogs", "AuditTrailBucket"}
    assert set(found["Objects"].pop("resources.ARN")) == {f"<{name}>/" for name in buckets}
    assert found["Objects"] == {"eventCategory": ["Data"], "resources.type": ["AWS::S3::Object"]}
    assert found["Rows"] == {"eventCategory": ["Data"], "resources.type": ["AWS::DynamoDB::Table"]}


def test_the_trail_has_what_changes_the_account_and_no_reads_of_it(audited: Assembly) -> None:
    assert selectors(audited)["Changes"] == {"eventCategory": ["Management"], "readOnly": ["false"]}


def test_its_files_are_validated_and_encrypted_with_a_separate_key(audited: Assembly) -> None:
    trail = audited.named("AWS::CloudTrail::Trail", "AuditTrail")
    assert (trail["IsLogging"], trail["EnableLogFileValidation"]) == (True, True)
    assert text(trail["KMSKeyId"]) == "<AuditTrailKey>"
    key = audited.named("AWS::KMS::Key", "AuditTrailKey")
    assert key["EnableKeyRotation"] is True
    uses = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"]
    assert of_service(key["KeyPolicy"]["Statement"]) == {"*": (uses, ONLY_IT)}


def test_no_file_can_be_deleted_before_its_time_and_only_the_trail_adds_files(audited: Assembly) -> None:
    bucket = audited.named("AWS::S3::Bucket", "AuditTrailBucket")
    lock = bucket["ObjectLockConfiguration"]
    assert lock == {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": DAYS}},
    }
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    policy = audited.named("AWS::S3::BucketPolicy", "AuditTrailBucketPolicy")["PolicyDocument"]["Statement"]
    assert of_service(policy) == {
        "<AuditTrailBucket>": (["s3:GetBucketAcl"], ONLY_IT),
        "<AuditTrailBucket>/AWSLogs/<AWS::AccountId>/*": (
            ["s3:PutObject"],
            ONLY_IT | {"s3:x-amz-acl": "bucket-owner-full-control"},
        ),
    }
    assert [one["Effect"] for one in policy] == ["Deny", "Allow", "Allow"]


def test_bucket_and_key_of_a_trail_stay_even_where_data_are_not_protected(audited: Assembly) -> None:
    assert audited.resource("StorageUploads")["DeletionPolicy"] == "Delete"
    for name in ("AuditTrailBucket", "AuditTrailKey"):
        assert audited.resource(name)["DeletionPolicy"] == "Retain"
    dependencies = audited.resource("AuditTrail")["DependsOn"]
    assert any(one.startswith("AuditTrailBucketPolicy") for one in dependencies), (
        "CloudTrail looks whether it may write"
    )


def test_its_key_is_watched_too(audited: Assembly) -> None:
    rule = audited.named("AWS::Events::Rule", "KeyWatchKeyEnds")
    assert "<AuditTrailKey>" in map(text, rule["EventPattern"]["detail"]["requestParameters"]["keyId"])


@pytest.mark.check  # test_account_rules.py lints a trail of the usual length in the first tier
def test_cfn_lint_finds_nothing_in_a_stage_with_a_trail(audited: Assembly) -> None:
    assert not audited.lint()


def test_a_retention_that_could_not_be_taken_back_is_bounded() -> None:
    with pytest.raises(ConfigError, match="audit_kept_days is 36500: 1 to 3660 is expected"):
        StageConfig(audit_kept_days=36_500)
