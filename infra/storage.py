"""Everything that holds data: the encryption key, the buckets, the tables."""

from __future__ import annotations

from typing import Any, cast

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from functions.names import (
    ARTIFACTS,
    BY_PATIENT,
    CHECKPOINTS,
    COHORTS,
    DICOM_RESULTS,
    PATIENT_HASH,
    SLICES,
    IndexName,
    StudyIndexName,
)
from infra.compliance import acknowledge
from infra.config import StageConfig
from infra.data_grants import DataGrants
from infra.kept import removal_policy

# How long an upload may wait for a model; copies and outputs of ended uploads are deleted at once.
WORK_KEPT = Duration.days(90)
NONCURRENT_KEPT = Duration.days(30)  # time to notice that an object was overwritten or deleted by mistake
CHECKPOINTS_KEPT = Duration.days(30)  # a training job ends after 28, waits for spot hosts included
ACCESS_LOGS_KEPT = Duration.days(400)  # an audit of last year must still be possible

# The actions that CloudWatch Logs needs; its guide lists them with wildcards.
LOGS_USE_KEY = (
    *("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
    *("kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"),
)


class Storage(DataGrants):
    """Buckets ``uploads``, ``work``, ``results``, ``models``, ``training``; tables ``index``, ``batches``, ``studies``,
    ``keys``.

    ``key`` encrypts them all, but a given uploads bucket; ``access_logs`` has the access logs of the others.
    """

    def __init__(self, scope: Construct, id_: str, *, config: StageConfig) -> None:
        super().__init__(scope, id_)
        self._protect = config.protect_data
        self._removal = removal_policy(config)
        self.key = self._given_key("Key", config.data_key_arn) if config.data_key_arn else self._data_key()
        self.access_logs = self._access_log_bucket()
        if config.uploads_bucket:
            # Nothing of it is changed: docs/stages.md says what it must have.
            self.uploads = s3.Bucket.from_bucket_name(self, "Uploads", config.uploads_bucket)
            key_arn = config.uploads_key_arn
            self.uploads_key = self._given_key("UploadsKey", key_arn) if key_arn else None
        else:
            self.uploads = self._own_uploads(config.uploads_kept_days)
            self.uploads_key = self.key
        self.work = self._bucket("Work", versioned=False)
        self.work.add_lifecycle_rule(id="ExpireAll", expiration=WORK_KEPT)
        self.results = self._bucket("Results", versioned=True)
        _keep(self.results, "ExpireResults", config.results_kept_days)
        if config.dicom_results:
            # They have patients' names, and can be made again.
            self.results.add_lifecycle_rule(
                id="ExpireDicomResults",
                prefix=DICOM_RESULTS,
                expiration=Duration.days(config.dicom_results_days),
                noncurrent_version_expiration=Duration.days(1),
            )
        self.models = self._bucket("Models", versioned=True)
        self._write_once(self.models, ARTIFACTS)
        self.training = self._bucket("Training", versioned=True)
        for prefix in (COHORTS, SLICES):
            _keep(self.training, f"Expire{prefix.strip('/').title()}", config.slices_kept_days, prefix)
        # Written anew in each epoch, and worth nothing once the job has ended.
        self.training.add_lifecycle_rule(
            id="ExpireCheckpoints",
            prefix=CHECKPOINTS,
            expiration=CHECKPOINTS_KEPT,
            noncurrent_version_expiration=Duration.days(1),
        )
        self.index = self._table("Index", "UploadId", expires="ExpiresAt")
        for one in IndexName:
            self.index.add_global_secondary_index(
                index_name=one.title, partition_key=_text(one.partition), sort_key=_text(one.sort)
            )
        self.index.add_global_secondary_index(
            index_name=BY_PATIENT,
            partition_key=_text(PATIENT_HASH),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )
        self.batches = self._table("Batches", "Id")
        self.studies = self._table("Studies", "StudyInstanceUID", sort="Item", expires="ExpiresAt")
        for each in StudyIndexName:
            self.studies.add_global_secondary_index(
                index_name=each.title, partition_key=_text(each.partition), sort_key=_text(each.sort)
            )
        # Independent of the setting: keys that a stage hid can still be found after it stops hiding them.
        self.keys = self._table("Keys", "UploadId", expires="ExpiresAt")

    def _given_key(self, id_: str, arn: str) -> kms.IKey:
        """Return an existing key. Its owner writes its policy: docs/stages.md has the statements."""
        return kms.Key.from_key_arn(self, id_, arn)

    def _own_uploads(self, kept_days: int) -> s3.Bucket:
        bucket = self._bucket("Uploads", versioned=True)
        # The flag of the L1: the L2's event_bridge_enabled adds a custom resource with a Lambda function.
        cfn_bucket = cast("s3.CfnBucket", bucket.node.default_child)
        cfn_bucket.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
        )
        _keep(bucket, "ExpireUploads", kept_days)
        self._deny_unreadable(bucket, cfn_bucket)
        return bucket

    def _data_key(self) -> kms.Key:
        key = kms.Key(
            self,
            "Key",
            description="wetread: encrypts buckets, tables, queues, logs and alarms",
            enable_key_rotation=True,
            removal_policy=self._removal,
        )
        stack = Stack.of(self)
        own_log_groups = stack.format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"{stack.stack_name}-*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        cloudwatch_logs = iam.ServicePrincipal(
            f"logs.{stack.region}.{stack.url_suffix}",
            conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": own_log_groups}},
        )
        key.grant(cloudwatch_logs, *LOGS_USE_KEY)
        return key

    def _access_log_bucket(self) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "AccessLogs",
            # S3 delivers access logs only to buckets that it encrypts with its own keys.
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=self._removal,
            versioned=True,  # an early delete leaves the version
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ExpireAll", expiration=ACCESS_LOGS_KEPT, noncurrent_version_expiration=NONCURRENT_KEPT
                )
            ],
        )
        acknowledge(
            bucket,
            "HIPAA.Security-S3DefaultEncryptionKMS",
            because="S3 delivers access logs only to buckets that it encrypts with its own keys.",
        )
        _acknowledge_one_region(bucket)
        return bucket

    def _bucket(self, name: str, *, versioned: bool) -> s3.Bucket:
        bucket = private_bucket(
            self,
            name,
            key=self.key,
            access_logs=self.access_logs,
            log_prefix=f"{name.lower()}/",
            versioned=versioned,
            removal_policy=self._removal,
            # A stopped transform job leaves parts of uploads behind, and so does an interrupted upload of a person.
            lifecycle_rules=[
                s3.LifecycleRule(id="AbortIncompleteUploads", abort_incomplete_multipart_upload_after=Duration.days(2))
            ],
        )
        if versioned:
            bucket.add_lifecycle_rule(id="ExpireNoncurrent", noncurrent_version_expiration=NONCURRENT_KEPT)
        else:
            acknowledge(
                bucket,
                "HIPAA.Security-S3BucketVersioningEnabled",
                because="It has copies of versions that another bucket keeps, and a patient's data must not pile up.",
            )
        self._deny_other_encryption(bucket)
        return bucket

    def _deny_other_encryption(self, bucket: s3.Bucket) -> None:
        """Refuse objects that request another encryption than the bucket's default.

        A negated operator is true for a missing header, hence the Null beside it. A put that requests KMS without a
        key is not refused, since SageMaker may write checkpoints so: S3 then uses the account's own key for S3.
        """
        for sid, header, expected in (
            ("DenyOtherEncryption", "s3:x-amz-server-side-encryption", "aws:kms"),
            ("DenyOtherKeys", "s3:x-amz-server-side-encryption-aws-kms-key-id", self.key.key_arn),
        ):
            bucket.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=sid,
                    effect=iam.Effect.DENY,
                    principals=[iam.AnyPrincipal()],
                    actions=["s3:PutObject"],
                    resources=[bucket.arn_for_objects("*")],
                    conditions={"Null": {header: "false"}, "StringNotEquals": {header: expected}},
                )
            )

    def _write_once(self, bucket: s3.Bucket, prefix: str) -> None:
        """Refuse every request that replaces an object or deletes it to make room for another.

        There are no exemptions. Lifting the rule means changing this policy, which CloudTrail records by default; it
        does not record deletes of objects by default. Lifecycle rules are not affected.
        """
        objects = [bucket.arn_for_objects(f"{prefix}*")]
        # The parts of a multipart upload have no such header; its completion does, and only that creates the object.
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="DenyOverwrites",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:PutObject"],
                resources=objects,
                conditions={
                    "Null": {"s3:if-none-match": "true"},
                    "Bool": {"s3:ObjectCreationOperation": "true"},
                },
            )
        )
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="DenyDeletesAndReplicas",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ReplicateDelete", "s3:ReplicateObject"],
                resources=objects,
            )
        )

    def _deny_unreadable(self, bucket: s3.Bucket, cfn_bucket: s3.CfnBucket) -> None:
        """Refuse puts that the service could not read: archived at once, or under a key that only the uploader has."""
        header = "s3:x-amz-storage-class"
        for sid, conditions in (
            (
                "DenyArchives",
                {"Null": {header: "false"}, "StringNotEquals": {header: ["STANDARD", "INTELLIGENT_TIERING"]}},
            ),
            ("DenyCustomerKeys", {"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "false"}}),
        ):
            bucket.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=sid,
                    effect=iam.Effect.DENY,
                    principals=[iam.AnyPrincipal()],
                    actions=["s3:PutObject"],
                    resources=[bucket.arn_for_objects("*")],
                    conditions=conditions,
                )
            )
        # S3's own switch, in case the policy is changed.
        cfn_bucket.add_property_override(
            "BucketEncryption.ServerSideEncryptionConfiguration.0.BlockedEncryptionTypes", {"EncryptionType": ["SSE-C"]}
        )

    def _table(
        self, name: str, partition: str, *, sort: str | None = None, expires: str | None = None
    ) -> dynamodb.Table:
        table = dynamodb.Table(
            self,
            name,
            partition_key=_text(partition),
            sort_key=_text(sort) if sort else None,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=self.key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute=expires,
            deletion_protection=self._protect,
            # Also when a first deployment fails: the protection would refuse the delete, and so fail the rollback.
            removal_policy=RemovalPolicy.RETAIN if self._protect else RemovalPolicy.DESTROY,
        )
        acknowledge(
            table,
            "HIPAA.Security-DynamoDBInBackupPlan",
            because="Point-in-time recovery restores it to any second of the last 35 days.",
        )
        return table


def _keep(bucket: s3.Bucket, rule: str, days: int, prefix: str | None = None) -> None:
    """Expire objects after ``days``, 0 for never; the bucket's own rule then deletes their versions."""
    if days:
        bucket.add_lifecycle_rule(id=rule, prefix=prefix, expiration=Duration.days(days))


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)


def private_bucket(
    scope: Construct, id_: str, *, key: kms.IKey, access_logs: s3.IBucket, log_prefix: str, **properties: Any
) -> s3.Bucket:
    """Make a bucket without public access, over TLS only, encrypted with ``key``, with access logs."""
    bucket = s3.Bucket(
        scope,
        id_,
        encryption=s3.BucketEncryption.KMS,
        encryption_key=key,
        bucket_key_enabled=True,
        enforce_ssl=True,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        server_access_logs_bucket=access_logs,
        server_access_logs_prefix=log_prefix,
        **properties,
    )
    _acknowledge_one_region(bucket)
    return bucket


def _acknowledge_one_region(bucket: s3.Bucket) -> None:
    """Accept that a bucket has no replica."""
    acknowledge(
        bucket,
        "HIPAA.Security-S3BucketReplicationEnabled",
        because="A copy of patients' data in another region is for the operator to decide, not for a default.",
    )
