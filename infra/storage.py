"""Everything that holds data: the key that encrypts it, the buckets, the tables, and who may do what with them."""

from __future__ import annotations

from typing import cast

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.config import StageConfig

# The key prefixes of functions/domain/layout.py (infra imports only the settings of functions; a test compares them).
INSTANCES = "instances/"
BATCHES = "batches/"
OUTPUTS = "outputs/"
PREDICTIONS = "predictions/"
ARTIFACTS = "artifacts/"
COHORTS = "cohorts/"
SLICES = "slices/"
RUNS = "runs/"

# Every question that people ask of the index is one Query: index name, partition key, sort key.
INDEX_QUERIES = (
    ("ByStudy", "StudyInstanceUID", "ReceivedAt"),
    ("BySeries", "SeriesInstanceUID", "ReceivedAt"),
    ("ByKey", "Key", "ReceivedAt"),
    ("ByStatus", "Status", "ReceivedAt"),
    ("ByClass", "PredictedClass", "CompletedAt"),
    ("ByJob", "TransformJobName", "ReceivedAt"),
    ("ByModel", "ModelPackage", "CompletedAt"),
)

WORK_KEPT = Duration.days(90)  # how long an upload may wait for a model; copies of ended ones are deleted at once
NONCURRENT_KEPT = Duration.days(30)  # time to notice that an object was overwritten or deleted by mistake
ACCESS_LOGS_KEPT = Duration.days(400)  # an audit of last year must still be possible

READ_ITEMS = ("dynamodb:GetItem", "dynamodb:BatchGetItem")


class Storage(Construct):
    """Buckets ``uploads``, ``work``, ``results``, ``models``, ``training``; tables ``index``, ``batches``; ``key``."""

    def __init__(self, scope: Construct, id_: str, *, config: StageConfig) -> None:
        super().__init__(scope, id_)
        self._protect = config.protect_data
        self._removal = RemovalPolicy.RETAIN if config.protect_data else RemovalPolicy.DESTROY
        self.key = self._data_key()
        self._access_logs = self._access_log_bucket()
        self.uploads = self._bucket("Uploads", versioned=True)
        # The flag on the L1: the L2's event_bridge_enabled brings a custom resource with a Lambda function of its own.
        cfn_uploads = cast("s3.CfnBucket", self.uploads.node.default_child)
        cfn_uploads.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
        )
        self.work = self._bucket("Work", versioned=False)
        self.work.add_lifecycle_rule(id="ExpireAll", expiration=WORK_KEPT)
        self.results = self._bucket("Results", versioned=True)
        self.models = self._bucket("Models", versioned=True)
        self.training = self._bucket("Training", versioned=True)
        self.index = self._table("Index", "UploadId")
        for name, partition, sort in INDEX_QUERIES:
            self.index.add_global_secondary_index(index_name=name, partition_key=_text(partition), sort_key=_text(sort))
        self.batches = self._table("Batches", "Id")

    def grant_add_rows(self, grantee: iam.IGrantable) -> None:
        """May write the row of a new Upload, and see whether it has one."""
        self.index.grant(grantee, *READ_ITEMS, "dynamodb:PutItem")
        self.key.grant_encrypt_decrypt(grantee)

    def grant_advance_rows(self, grantee: iam.IGrantable) -> None:
        """May find rows by a Query and change them: never Scan, never write a new one, never delete one."""
        self.index.grant(grantee, *READ_ITEMS, "dynamodb:Query", "dynamodb:UpdateItem")
        self.key.grant_encrypt_decrypt(grantee)

    def grant_advance_batches(self, grantee: iam.IGrantable) -> None:
        """May read, open, fence, advance and finish batches, and take and free their slots."""
        self.batches.grant(
            grantee,
            *READ_ITEMS,
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
            "dynamodb:ConditionCheckItem",
        )
        self.key.grant_encrypt_decrypt(grantee)

    def grant_finish_batches(self, grantee: iam.IGrantable) -> None:
        """May read and finish batches and free their slots: never open one, never move the champion."""
        self.batches.grant(grantee, *READ_ITEMS, "dynamodb:UpdateItem", "dynamodb:DeleteItem")
        self.key.grant_encrypt_decrypt(grantee)

    def grant_read_champion(self, grantee: iam.IGrantable) -> None:
        """May see which model is the champion."""
        self.batches.grant(grantee, "dynamodb:GetItem")
        self.key.grant_decrypt(grantee)

    def grant_move_champion(self, grantee: iam.IGrantable) -> None:
        """May move the champion, if it still is who it was, and keep what became of versions: never Scan or Query."""
        self.batches.grant(
            grantee, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"
        )
        self.key.grant_encrypt_decrypt(grantee)

    def grant_delete_copies(self, grantee: iam.IGrantable) -> None:
        """May delete the pinned copies of uploads, and no other object (the bucket's own grant says DeleteObject*)."""
        _allow(grantee, ["s3:DeleteObject"], [self.work.arn_for_objects(f"{INSTANCES}*")])

    def grant_freeze_cohorts(self, grantee: iam.IGrantable) -> None:
        """May read every version of what people label, and keep copies of it and the documents of runs.

        Written out because the bucket's own grants would let it read more than that.
        """
        training = self.training
        kept = [training.arn_for_objects(f"{prefix}*") for prefix in (SLICES, RUNS)]
        cohorts = training.arn_for_objects(f"{COHORTS}*")
        _allow(grantee, ["s3:GetObject", "s3:GetObjectVersion"], [cohorts])
        _allow(grantee, ["s3:GetObject", "s3:PutObject"], kept)
        _allow(grantee, ["s3:ListBucketVersions"], [training.bucket_arn], below=[COHORTS])
        # Without a prefix: S3 answers "no such key" only to those who may list, and "access denied" to others.
        _allow(grantee, ["s3:ListBucket"], [training.bucket_arn])
        self.key.grant_encrypt_decrypt(grantee)

    def grant_job_data(self, job_role: iam.Role) -> None:
        """May read the inputs and the model of a transform job and write its outputs, as SageMaker does for it.

        Written out because the buckets' own grants would let it list and read more than SageMaker needs.
        """
        readable = [self.work.arn_for_objects(f"{prefix}*") for prefix in (INSTANCES, BATCHES)]
        artifacts = self.models.arn_for_objects(f"{ARTIFACTS}*")
        _allow(job_role, ["s3:GetObject"], [*readable, artifacts])
        _allow(job_role, ["s3:PutObject", "s3:AbortMultipartUpload"], [self.work.arn_for_objects(f"{OUTPUTS}*")])
        _allow(job_role, ["s3:ListBucket"], [self.work.bucket_arn], below=[INSTANCES, BATCHES, OUTPUTS])
        self.key.grant_encrypt_decrypt(job_role)

    def grant_artifacts(self, endpoint_role: iam.Role) -> None:
        """May read models: all that a real-time endpoint needs, since requests and answers come and go by HTTP."""
        _allow(endpoint_role, ["s3:GetObject"], [self.models.arn_for_objects(f"{ARTIFACTS}*")])
        self.key.grant_decrypt(endpoint_role)

    def grant_training_data(self, job_role: iam.Role) -> None:
        """May read what the jobs of a retraining read (slices, the run so far, the champion) and write their outputs.

        Written out because the buckets' own grants would let it list and read more than SageMaker needs.
        """
        slices, runs = (self.training.arn_for_objects(f"{prefix}*") for prefix in (SLICES, RUNS))
        artifacts = self.models.arn_for_objects(f"{ARTIFACTS}*")
        _allow(job_role, ["s3:GetObject"], [slices, runs, artifacts])
        _allow(job_role, ["s3:PutObject", "s3:AbortMultipartUpload"], [runs])
        _allow(job_role, ["s3:ListBucket"], [self.training.bucket_arn], below=[SLICES, RUNS])
        _allow(job_role, ["s3:ListBucket"], [self.models.bucket_arn], below=[ARTIFACTS])
        self.key.grant_encrypt_decrypt(job_role)
        # The disks of a job are made by EC2, which uses the key by a grant that the job's role makes.
        iam.Grant.add_to_principal(
            grantee=job_role,
            actions=["kms:CreateGrant"],
            resource_arns=[self.key.key_arn],
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        )

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
        key.grant_encrypt_decrypt(cloudwatch_logs)
        key.grant(cloudwatch_logs, "kms:DescribeKey")
        return key

    def _access_log_bucket(self) -> s3.Bucket:
        return s3.Bucket(
            self,
            "AccessLogs",
            # S3 delivers access logs only to buckets that it encrypts with its own keys.
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=self._removal,
            lifecycle_rules=[s3.LifecycleRule(id="ExpireAll", expiration=ACCESS_LOGS_KEPT)],
        )

    def _bucket(self, name: str, *, versioned: bool) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            name,
            versioned=versioned,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            server_access_logs_bucket=self._access_logs,
            server_access_logs_prefix=f"{name.lower()}/",
            removal_policy=self._removal,
            # Batch transform uploads in parts and leaves them behind when a job is stopped; so do people.
            lifecycle_rules=[
                s3.LifecycleRule(id="AbortIncompleteUploads", abort_incomplete_multipart_upload_after=Duration.days(2))
            ],
        )
        if versioned:
            bucket.add_lifecycle_rule(id="ExpireNoncurrent", noncurrent_version_expiration=NONCURRENT_KEPT)
        return bucket

    def _table(self, name: str, partition: str) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            name,
            partition_key=_text(partition),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=self.key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=self._protect,
            removal_policy=self._removal,
        )


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)


def _allow(
    grantee: iam.IGrantable, actions: list[str], resources: list[str], *, below: list[str] | None = None
) -> None:
    """Allow exactly this; ``below`` are the key prefixes to which a listing is bound."""
    iam.Grant.add_to_principal(
        grantee=grantee,
        actions=actions,
        resource_arns=resources,
        conditions={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in below]}} if below else None,
    )
