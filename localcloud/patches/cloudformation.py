"""CloudFormation: tables keep TTL, recovery and encryption, and buckets encryption, which the emulator drops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from localcloud.patches.patching import emulator, replace_handler

_XML_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def install() -> None:
    """Wrap the two create handlers."""
    emulator("services.dynamodb", "_update_ttl", "_update_continuous_backups", "_sse_description_from_spec", "_tables")
    emulator("services.s3", "_put_bucket_encryption")
    replace_handler("AWS::DynamoDB::Table", "create", _with_table_settings)
    replace_handler("AWS::S3::Bucket", "create", _with_bucket_encryption)


def _with_table_settings(original: Callable[..., Any]) -> Callable[..., Any]:
    dynamodb = emulator("services.dynamodb")

    def create(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        name, attributes = original(logical_id, properties, stack_name)
        for setting, apply in (
            ("TimeToLiveSpecification", dynamodb._update_ttl),
            ("PointInTimeRecoverySpecification", dynamodb._update_continuous_backups),
        ):
            if properties.get(setting):
                apply({"TableName": name, setting: properties[setting]})
        encryption = dict(properties.get("SSESpecification") or {})
        if encryption:
            encryption["Enabled"] = encryption.pop("SSEEnabled", True)
            dynamodb._tables[name]["SSEDescription"] = dynamodb._sse_description_from_spec(encryption)
        return name, attributes

    return create


def _with_bucket_encryption(original: Callable[..., Any]) -> Callable[..., Any]:
    s3 = emulator("services.s3")

    def create(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        name, attributes = original(logical_id, properties, stack_name)
        rules = (properties.get("BucketEncryption") or {}).get("ServerSideEncryptionConfiguration") or []
        if rules:
            element = "ServerSideEncryptionConfiguration"
            body = "".join(_rule(rule) for rule in rules)
            s3._put_bucket_encryption(name, f'<{element} xmlns="{_XML_NAMESPACE}">{body}</{element}>'.encode())
        return name, attributes

    return create


def _rule(rule: dict[str, Any]) -> str:
    default = rule["ServerSideEncryptionByDefault"]
    # Without a key id AWS uses the account's key for S3; the emulator would refuse every write.
    key = default.get("KMSMasterKeyID") or ("alias/aws/s3" if default["SSEAlgorithm"] == "aws:kms" else "")
    key_element = f"<KMSMasterKeyID>{escape(key)}</KMSMasterKeyID>" if key else ""
    return (
        "<Rule><ApplyServerSideEncryptionByDefault>"
        f"<SSEAlgorithm>{default['SSEAlgorithm']}</SSEAlgorithm>{key_element}"
        "</ApplyServerSideEncryptionByDefault></Rule>"
    )
