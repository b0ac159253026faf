"""The grants on the data: one method for each."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from functions.names import (
    ARTIFACTS,
    BATCHES,
    CHECKPOINTS,
    COHORTS,
    DICOM_RESULTS,
    EXPRESS,
    INSTANCES,
    OUTPUTS,
    PATIENT,
    PREDICTIONS,
    RUNS,
    SLICES,
    STUDIES,
    IndexName,
    StudyIndexName,
)
from infra.grants import KEEP, READ, READ_TABLE, WRITE, allow, allow_key, allow_volumes

READ_ITEMS = ("dynamodb:GetItem", "dynamodb:BatchGetItem")
OF_PATIENTS = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{PATIENT}*"]}}
KEYS_ARE_MANY = "Only the prefix of the keys of uploads, batches, runs and models is known at deployment."


class DataGrants(Construct):
    """The grants of Storage, which creates these buckets, tables and key."""

    uploads: s3.IBucket
    work: s3.Bucket
    results: s3.Bucket
    models: s3.Bucket
    training: s3.Bucket
    index: dynamodb.Table
    batches: dynamodb.Table
    studies: dynamodb.Table
    keys: dynamodb.Table
    key: kms.IKey
    uploads_key: kms.IKey | None  # None where a given bucket is not encrypted with KMS

    def grant_read_uploads(self, grantee: iam.IGrantable) -> None:
        """Let the grantee read every version of every upload, and learn that one is gone."""
        everything = self.uploads.arn_for_objects("*")
        allow(grantee, "s3:GetObject", "s3:GetObjectVersion", on=[everything], because="Uploads have any keys.")
        # S3 answers "no such key" or "no such version" only to callers that may list them, "access denied" to others.
        allow(grantee, "s3:ListBucket", "s3:ListBucketVersions", on=[self.uploads.bucket_arn])
        if self.uploads_key:
            allow_key(grantee, self.uploads_key, READ)

    def grant_pin_copies(self, grantee: iam.IGrantable) -> None:
        """Let the grantee write the pinned copies of uploads."""
        self._allow_objects(grantee, self.work, INSTANCES, "s3:PutObject")
        allow_key(grantee, self.key, WRITE)

    def grant_delete_copies(self, grantee: iam.IGrantable) -> None:
        """Let the grantee delete the pinned copies of uploads, and no other object."""
        self._allow_objects(grantee, self.work, INSTANCES, "s3:DeleteObject")

    def grant_delete_outputs(self, grantee: iam.IGrantable) -> None:
        """Let the grantee delete the outputs of transform jobs, and no other object."""
        self._allow_objects(grantee, self.work, OUTPUTS, "s3:DeleteObject")

    def grant_write_manifests(self, grantee: iam.IGrantable) -> None:
        """Let the grantee write and read the documents of batches."""
        self._allow_objects(grantee, self.work, BATCHES, "s3:GetObject", "s3:PutObject")
        allow_key(grantee, self.key, WRITE)

    def grant_read_outputs(self, grantee: iam.IGrantable) -> None:
        """Let the grantee list and read outputs of transform jobs and their manifests, or learn that one is gone."""
        self._allow_objects(grantee, self.work, BATCHES, "s3:GetObject")
        self._allow_objects(grantee, self.work, OUTPUTS, "s3:GetObject")
        self._allow_to_miss(grantee, self.work)
        allow_key(grantee, self.key, READ)

    def grant_follow_runs(self, grantee: iam.IGrantable) -> None:
        """Let the grantee read how the runs of the express lane began and ended, learn that one has not, and say so."""
        self._allow_objects(grantee, self.work, EXPRESS, "s3:GetObject", "s3:PutObject")
        self._allow_to_miss(grantee, self.work)
        allow_key(grantee, self.key, WRITE)

    def grant_run_express(self, grantee: iam.IGrantable) -> None:
        """Let the function express read copies, manifests and artifacts, and write outputs and records of runs."""
        for bucket, prefix in ((self.work, INSTANCES), (self.work, BATCHES), (self.models, ARTIFACTS)):
            self._allow_objects(grantee, bucket, prefix, "s3:GetObject")
        self._allow_objects(grantee, self.work, OUTPUTS, "s3:PutObject")
        self._allow_objects(grantee, self.work, EXPRESS, "s3:GetObject", "s3:PutObject")
        allow_key(grantee, self.key, WRITE)

    def grant_keep_predictions(self, grantee: iam.IGrantable) -> None:
        """Let the grantee write predictions, and read existing ones."""
        self._allow_objects(grantee, self.results, PREDICTIONS, "s3:GetObject", "s3:PutObject")
        allow_key(grantee, self.key, WRITE)

    def grant_add_rows(self, grantee: iam.IGrantable) -> None:
        """Let the grantee write the row of a new Upload, and check whether it has one."""
        allow(grantee, *READ_ITEMS, "dynamodb:PutItem", on=[self.index.table_arn])
        allow_key(grantee, self.key, KEEP)

    def grant_hide_keys(self, grantee: iam.IGrantable) -> None:
        """Let the grantee store the key of a new Upload and delete that of an erased one: never read."""
        allow(grantee, "dynamodb:PutItem", "dynamodb:DeleteItem", on=[self.keys.table_arn])

    def grant_reveal_keys(self, grantee: iam.IGrantable) -> None:
        """Let the grantee read the hidden keys of Uploads that it knows."""
        allow(grantee, "dynamodb:BatchGetItem", on=[self.keys.table_arn])

    def grant_add_members(self, grantee: iam.IGrantable) -> None:
        """Let the grantee add members and markers to studies, and open them: never read one."""
        allow(grantee, "dynamodb:PutItem", "dynamodb:UpdateItem", on=[self.studies.table_arn])
        allow(grantee, "dynamodb:ConditionCheckItem", on=[self.index.table_arn])

    def grant_open_studies(self, grantee: iam.IGrantable) -> None:
        """Let the grantee open studies: never read one."""
        allow(grantee, "dynamodb:UpdateItem", on=[self.studies.table_arn])

    def grant_close_studies(self, grantee: iam.IGrantable) -> None:
        """Let the grantee find open studies, close them, write their documents, and learn that one is gone."""
        writes = ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem")
        allow(grantee, "dynamodb:Query", *writes, on=[self.studies.table_arn])
        allow(grantee, "dynamodb:Query", on=[f"{self.studies.table_arn}/index/{StudyIndexName.BY_DUE.title}"])
        self._allow_objects(grantee, self.results, STUDIES, "s3:GetObject", "s3:PutObject")
        self._allow_to_miss(grantee, self.results)

    def grant_deliver(self, grantee: iam.IGrantable, *, hides_keys: bool, draws: bool) -> None:
        """Let the grantee read revisions with their rows and uploads, and keep DICOM results: never read one back.

        One that ``draws`` heat pictures reads predictions, too.
        """
        self.grant_read_uploads(grantee)
        allow(grantee, "dynamodb:BatchGetItem", on=[self.index.table_arn])
        items = ("dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem")
        allow(grantee, *items, on=[self.studies.table_arn])
        self._allow_objects(grantee, self.results, STUDIES, "s3:GetObject")
        if draws:
            self._allow_objects(grantee, self.results, PREDICTIONS, "s3:GetObject")
        self._allow_objects(grantee, self.results, DICOM_RESULTS, "s3:PutObject", "s3:DeleteObjectVersion")
        allow(grantee, "s3:ListBucketVersions", on=[self.results.bucket_arn], when=_below(DICOM_RESULTS))
        self._allow_to_miss(grantee, self.results)
        allow_key(grantee, self.key, KEEP)
        if hides_keys:
            self.grant_reveal_keys(grantee)

    def grant_read_again(self, grantee: iam.IGrantable, *, hides_keys: bool) -> None:
        """Let the grantee copy uploads that were read for jobs to read them again."""
        self.grant_read_uploads(grantee)
        self.grant_pin_copies(grantee)
        allow(grantee, "dynamodb:GetItem", on=[self.index.table_arn])
        if hides_keys:
            self.grant_reveal_keys(grantee)

    def grant_advance_rows(self, grantee: iam.IGrantable) -> None:
        """Let the grantee read and change rows: never Scan, create or delete."""
        allow(grantee, "dynamodb:BatchGetItem", "dynamodb:UpdateItem", on=[self.index.table_arn])
        allow_key(grantee, self.key, KEEP)

    def grant_find_rows(self, grantee: iam.IGrantable, *indexes: IndexName) -> None:
        """Let the grantee query these indexes."""
        allow(grantee, "dynamodb:Query", on=[f"{self.index.table_arn}/index/{one.title}" for one in indexes])

    def grant_advance_batches(self, grantee: iam.IGrantable) -> None:
        """Let the grantee read, open, fence, advance and finish batches, and take and free slots."""
        writes = ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem")
        allow(grantee, *READ_ITEMS, *writes, on=[self.batches.table_arn])
        allow_key(grantee, self.key, KEEP)

    def grant_finish_batches(self, grantee: iam.IGrantable) -> None:
        """Let the grantee read and finish batches and free their slots: never open one, never move the champion."""
        actions = ("dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem")
        allow(grantee, *actions, on=[self.batches.table_arn])
        allow_key(grantee, self.key, KEEP)

    def grant_read_champion(self, grantee: iam.IGrantable) -> None:
        """Let the grantee read which model is the champion."""
        allow(grantee, "dynamodb:GetItem", on=[self.batches.table_arn])
        allow_key(grantee, self.key, READ_TABLE)

    def grant_move_champion(self, grantee: iam.IGrantable) -> None:
        """Let the grantee update the champion conditionally, and record promotion history: never Scan or Query."""
        writes = ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem")
        allow(grantee, "dynamodb:GetItem", *writes, on=[self.batches.table_arn])
        allow_key(grantee, self.key, KEEP)

    def grant_read_holdout(self, grantee: iam.IGrantable) -> None:
        """Let the grantee read which patients models were measured on, and no other item."""
        allow(grantee, "dynamodb:BatchGetItem", on=[self.batches.table_arn], when=OF_PATIENTS)

    def grant_count_attempts(self, grantee: iam.IGrantable) -> None:
        """Let the grantee record which run measures models on a patient, and change no other item."""
        allow(grantee, "dynamodb:UpdateItem", on=[self.batches.table_arn], when=OF_PATIENTS)
        allow_key(grantee, self.key, KEEP)

    def grant_freeze_cohorts(self, grantee: iam.IGrantable) -> None:
        """Let the grantee read every version of labelled objects, and write copies of them and documents of runs."""
        self._allow_objects(grantee, self.training, COHORTS, "s3:GetObject", "s3:GetObjectVersion")
        self._allow_objects(grantee, self.training, SLICES, "s3:GetObject", "s3:PutObject")
        self._allow_objects(grantee, self.training, RUNS, "s3:GetObject", "s3:PutObject")
        allow(grantee, "s3:ListBucketVersions", on=[self.training.bucket_arn], when=_below(COHORTS))
        self._allow_to_miss(grantee, self.training)
        allow_key(grantee, self.key, WRITE)

    def grant_judge_runs(self, grantee: iam.IGrantable) -> None:
        """Let the grantee read the documents of runs, learn that one is missing, and write verdicts."""
        self._allow_objects(grantee, self.training, RUNS, "s3:GetObject", "s3:PutObject")
        self._allow_to_miss(grantee, self.training)
        allow_key(grantee, self.key, WRITE)

    def grant_read_runs(self, grantee: iam.IGrantable) -> None:
        """Let the grantee read the documents and artifacts of runs."""
        self._allow_objects(grantee, self.training, RUNS, "s3:GetObject")
        allow_key(grantee, self.key, READ)

    def grant_artifacts(self, grantee: iam.IGrantable) -> None:
        """Let the grantee check that model artifacts are unchanged, or learn that one is gone."""
        self._allow_reading_artifacts(grantee)
        self._allow_to_miss(grantee, self.models)

    def grant_endpoint_data(self, endpoint_role: iam.Role) -> None:
        """Let an endpoint read its model, onto an encrypted disk; its requests come by HTTP."""
        self._allow_reading_artifacts(endpoint_role)
        allow_volumes(endpoint_role, self.key)

    def grant_keep_artifacts(self, grantee: iam.IGrantable) -> None:
        """Let the grantee store model artifacts."""
        self._allow_objects(grantee, self.models, ARTIFACTS, "s3:PutObject")
        allow_key(grantee, self.key, WRITE)

    def grant_job_data(self, job_role: iam.Role) -> None:
        """Let a transform job read its inputs and its model, and write its outputs."""
        for bucket, prefix in ((self.work, INSTANCES), (self.work, BATCHES), (self.models, ARTIFACTS)):
            self._allow_objects(job_role, bucket, prefix, "s3:GetObject")
        self._allow_objects(job_role, self.work, OUTPUTS, "s3:PutObject", "s3:AbortMultipartUpload")
        allow(job_role, "s3:ListBucket", on=[self.work.bucket_arn], when=_below(INSTANCES, BATCHES, OUTPUTS))
        allow_key(job_role, self.key, KEEP)
        allow_volumes(job_role, self.key)

    def grant_training_data(self, job_role: iam.Role) -> None:
        """Let a retraining's jobs read their inputs (slices, runs, the champion) and write their outputs."""
        for bucket, prefix in ((self.training, SLICES), (self.training, RUNS), (self.models, ARTIFACTS)):
            self._allow_objects(job_role, bucket, prefix, "s3:GetObject")
        self._allow_objects(job_role, self.training, CHECKPOINTS, "s3:GetObject")
        for prefix in (RUNS, CHECKPOINTS):
            self._allow_objects(job_role, self.training, prefix, "s3:PutObject", "s3:AbortMultipartUpload")
        # What the container deletes or renames among its checkpoints, SageMaker deletes in the bucket. A run that began
        # before an upgrade has them below its folder.
        for prefix in (CHECKPOINTS, f"{RUNS}*/checkpoints/"):
            self._allow_objects(job_role, self.training, prefix, "s3:DeleteObject")
        allow(job_role, "s3:ListBucket", on=[self.training.bucket_arn], when=_below(SLICES, RUNS, CHECKPOINTS))
        allow(job_role, "s3:ListBucket", on=[self.models.bucket_arn], when=_below(ARTIFACTS))
        allow_key(job_role, self.key, KEEP)
        allow_volumes(job_role, self.key)

    def _allow_reading_artifacts(self, grantee: iam.IGrantable) -> None:
        self._allow_objects(grantee, self.models, ARTIFACTS, "s3:GetObject")
        allow_key(grantee, self.key, READ)

    def _allow_objects(self, grantee: iam.IGrantable, bucket: s3.Bucket, prefix: str, *actions: str) -> None:
        allow(grantee, *actions, on=[bucket.arn_for_objects(f"{prefix}*")], because=KEYS_ARE_MANY)

    def _allow_to_miss(self, grantee: iam.IGrantable, bucket: s3.Bucket) -> None:
        # Without a prefix: S3 answers "no such key" only to callers that may list, "access denied" to others.
        allow(grantee, "s3:ListBucket", on=[bucket.bucket_arn])


def _below(*prefixes: str) -> dict[str, Any]:
    """Return the condition that limits a listing to key prefixes."""
    return {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}}
