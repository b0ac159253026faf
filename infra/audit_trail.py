"""A CloudTrail trail of all access to a stage's data, in a bucket that nothing can be deleted from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.compliance import acknowledge
from infra.config import StageConfig
from infra.grants import arn_of
from infra.storage import NONCURRENT_KEPT, private_bucket

CLOUDTRAIL = "cloudtrail.amazonaws.com"
PREFIX = f"AWSLogs/{Aws.ACCOUNT_ID}/"
# CloudTrail encrypts each log file with a data key; S3 decrypts to store the parts of a large one.
USES = ("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext")


class AuditTrail(Construct):
    """Record all data events of ``buckets`` and ``tables``, and the management events that change something.

    Management events are few, and show what data events do not: changes of a bucket's or a key's policy, attached
    permissions, a stopped trail. Management reads are left out: most are uses of keys, which the data events imply.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: StageConfig,
        buckets: Sequence[s3.IBucket],
        tables: Sequence[dynamodb.ITable],
        access_logs: s3.IBucket,
    ) -> None:
        super().__init__(scope, id_)
        name = f"{config.service_name}-audit"
        # By name, since the policies of bucket and key must exist before the trail.
        own = {"StringEquals": {"aws:SourceArn": arn_of(self, "cloudtrail", "trail", name)}}
        self._cloudtrail = iam.ServicePrincipal(CLOUDTRAIL, conditions=own)
        self.key = self._own_key()
        self.bucket = self._locked_bucket(config.audit_kept_days, access_logs)
        self._let_write()
        self.trail = cloudtrail.CfnTrail(
            self,
            "Trail",
            trail_name=name,
            is_logging=True,
            s3_bucket_name=self.bucket.bucket_name,
            kms_key_id=self.key.key_arn,
            enable_log_file_validation=True,
            include_global_service_events=True,  # IAM's, which reach trails of us-east-1 only
            is_multi_region_trail=False,
            advanced_event_selectors=[
                _events("Objects", "Data", _is("resources.type", "AWS::S3::Object"), _starts(buckets)),
                _events("Rows", "Data", _is("resources.type", "AWS::DynamoDB::Table"), _are(tables)),
                _events("Changes", "Management", _is("readOnly", "false")),
            ],
        )
        self.trail.node.add_dependency(self.bucket)  # with its policy
        acknowledge(
            self.trail,
            "HIPAA.Security-CloudTrailCloudWatchLogsEnabled",
            because="A log group would be a second copy of the trail, and one that can be deleted.",
        )

    def _own_key(self) -> kms.Key:
        """Make a separate key: readers of patients' data need not read the trail, and the trail outlives the stage."""
        key = kms.Key(
            self,
            "Key",
            description="wetread: encrypts the audit trail",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.RETAIN,
        )
        key.grant(self._cloudtrail, *USES)
        return key

    def _locked_bucket(self, days: int, access_logs: s3.IBucket) -> s3.Bucket:
        return private_bucket(
            self,
            "Bucket",
            key=self.key,
            access_logs=access_logs,
            log_prefix="audit/",
            versioned=True,
            object_lock_enabled=True,
            # Compliance, not governance: a trail must bind administrators, and they can override governance.
            object_lock_default_retention=s3.ObjectLockRetention.compliance(Duration.days(days)),
            removal_policy=RemovalPolicy.RETAIN,  # even where data are not protected: a locked bucket cannot be deleted
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ExpireAll", expiration=Duration.days(days), noncurrent_version_expiration=NONCURRENT_KEPT
                )
            ],
        )

    def _let_write(self) -> None:
        """Let this trail, and no other, read the bucket's ACL and add log files."""
        for action, resource, conditions in (
            ("s3:GetBucketAcl", self.bucket.bucket_arn, {}),
            (
                "s3:PutObject",
                self.bucket.arn_for_objects(f"{PREFIX}*"),
                {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
            ),
        ):
            self.bucket.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[self._cloudtrail], actions=[action], resources=[resource], conditions=conditions
                )
            )


def _events(name: str, category: str, *fields: cloudtrail.CfnTrail.AdvancedFieldSelectorProperty) -> Any:
    return cloudtrail.CfnTrail.AdvancedEventSelectorProperty(
        name=name, field_selectors=[_is("eventCategory", category), *fields]
    )


def _is(field: str, value: str) -> cloudtrail.CfnTrail.AdvancedFieldSelectorProperty:
    return cloudtrail.CfnTrail.AdvancedFieldSelectorProperty(field=field, equal_to=[value])


def _starts(buckets: Sequence[s3.IBucket]) -> cloudtrail.CfnTrail.AdvancedFieldSelectorProperty:
    objects = [bucket.arn_for_objects("") for bucket in buckets]
    return cloudtrail.CfnTrail.AdvancedFieldSelectorProperty(field="resources.ARN", starts_with=objects)


def _are(tables: Sequence[dynamodb.ITable]) -> cloudtrail.CfnTrail.AdvancedFieldSelectorProperty:
    arns = [table.table_arn for table in tables]
    return cloudtrail.CfnTrail.AdvancedFieldSelectorProperty(field="resources.ARN", equal_to=arns)
