"""SageMaker transform jobs: create once per name, describe, stop."""

from __future__ import annotations

import enum
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.domain import layout
from functions.domain.batch import JobShape
from functions.domain.placement import tags_of

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

logger = logging.getLogger(__name__)

MOST_REASON = 1024  # characters of a job's FailureReason, as SageMaker documents it: a row keeps them
# SageMaker's errors while the account has no room: the batch waits in its slot and the sweep tries again.
NO_ROOM = frozenset({"ResourceLimitExceeded", "ThrottlingException", "Throttling", "ServiceUnavailable"})
# SageMaker's errors for a request that it will never accept as it is: its model is gone, say.
REFUSED = frozenset({"ValidationException", "ResourceNotFound"})


# A request that hangs holds one connection of the job for this long each time it is sent, and then fails the job. That
# is within max_work_seconds, so that no job has to be stopped for it. AWS's default is to send it three times more.
REQUEST_SECONDS = 600
REQUEST_RETRIES = 1


class Creation(enum.Enum):
    """The result of asking for a transform job: it is started (now or before), has no room now, or never will."""

    STARTED = enum.auto()
    NO_ROOM = enum.auto()
    REFUSED = enum.auto()


class JobStatus(enum.StrEnum):
    """TransformJobStatus, spelled as SageMaker spells it."""

    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPING = "Stopping"
    STOPPED = "Stopped"

    @property
    def ended(self) -> bool:
        """Whether the job has written its last output."""
        return self in {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.STOPPED}


@dataclass(frozen=True, kw_only=True)
class TransformJob:
    """The fields of DescribeTransformJob that the service uses."""

    name: str
    status: JobStatus
    failure_reason: str
    manifest_uri: str
    ended_at: datetime | None


class Jobs:
    """The transform jobs of one stage, which read and write the work bucket."""

    def __init__(self, client: SageMakerClient, work_bucket: str) -> None:
        self._client = client
        self._work_bucket = work_bucket

    def create(self, name: str, batch_id: str, model_name: str, shape: JobShape) -> Creation:
        """Start the job of a batch, or find it started.

        The name is the idempotency key: a job with this name that reads this batch's manifest is this job. Raises
        RuntimeError if the job with this name reads another manifest.
        """
        try:
            self._client.create_transform_job(**self._request(name, batch_id, model_name, shape))
        except ClientError as error:
            if error_code(error) in NO_ROOM:
                logger.warning("no room for a transform job", extra={"transform_job": name, "reason": str(error)})
                return Creation.NO_ROOM
            taken = _name_is_taken(error)
            if not taken and error_code(error) not in REFUSED:
                raise
            found = self.describe(name)  # for a job that exists AWS may report first that its model is gone
            if found is None and not taken:
                logger.error("transform job refused", extra={"transform_job": name, "reason": str(error)})
                return Creation.REFUSED
            if found is None or not self.reads(found, batch_id):
                raise RuntimeError(
                    f"A transform job {name} exists that does not read batch {batch_id}. Two stacks share the job name "
                    "prefix; give each stage its own."
                ) from error
        return Creation.STARTED

    def describe(self, name: str) -> TransformJob | None:
        """Return the job as it is now; None if no job has that name."""
        try:
            answer = self._client.describe_transform_job(TransformJobName=name)
        except ClientError as error:
            if error_code(error) in {"ResourceNotFound", "ValidationException"}:
                return None
            raise
        source = answer["TransformInput"]["DataSource"]["S3DataSource"]
        return TransformJob(
            name=name,
            status=JobStatus(answer["TransformJobStatus"]),
            failure_reason=answer.get("FailureReason", "")[:MOST_REASON],
            manifest_uri=source["S3Uri"],
            ended_at=answer.get("TransformEndTime"),
        )

    def stop(self, name: str) -> None:
        """Ask a job to stop; do nothing if it has ended meanwhile."""
        try:
            self._client.stop_transform_job(TransformJobName=name)
        except ClientError as error:
            if error_code(error) != "ValidationException":
                raise

    def reads(self, job: TransformJob, batch_id: str) -> bool:
        """Return whether a job reads this batch's manifest, and so is its job."""
        return job.manifest_uri == self._manifest_uri(batch_id)

    def _manifest_uri(self, batch_id: str) -> str:
        return f"s3://{self._work_bucket}/{layout.manifest_key(batch_id)}"

    def _request(self, name: str, batch_id: str, model_name: str, shape: JobShape) -> Any:
        resources: dict[str, Any] = {"InstanceType": shape.instance_type, "InstanceCount": shape.instance_count}
        if shape.transform_ami_version:
            resources["TransformAmiVersion"] = shape.transform_ami_version
        if shape.volume_key_arn:
            resources["VolumeKmsKeyId"] = shape.volume_key_arn
        return {
            "TransformJobName": name,
            "ModelName": model_name,
            "MaxConcurrentTransforms": shape.max_concurrent_transforms,
            "MaxPayloadInMB": shape.max_payload_mb,
            "BatchStrategy": "SingleRecord",
            "ModelClientConfig": {
                "InvocationsTimeoutInSeconds": REQUEST_SECONDS,
                "InvocationsMaxRetries": REQUEST_RETRIES,
            },
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": self._manifest_uri(batch_id)}},
                "ContentType": "application/dicom",
                "SplitType": "None",
                "CompressionType": "None",
            },
            "TransformOutput": {
                "S3OutputPath": f"s3://{self._work_bucket}/{layout.output_prefix(name)}",
                "Accept": "application/json",
                "AssembleWith": "None",
                # Without it SageMaker encrypts with the account's default S3 key, whatever the bucket's default is.
                "KmsKeyId": shape.data_key_arn,
            },
            "TransformResources": resources,
            "Tags": [{"Key": "wetread:batch", "Value": batch_id}, *tags_of(shape.resource_tags)],
        }


def _name_is_taken(error: ClientError) -> bool:
    return error_code(error) == "ResourceInUse" or (
        error_code(error) == "ValidationException" and "already exists" in str(error)
    )
