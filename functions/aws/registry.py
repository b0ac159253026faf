"""The model registry: artifacts become ModelPackages, an approved ModelPackage becomes the champion's Model."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from functions.aws.champion import Champion, Champions
from functions.aws.items import error_code
from functions.aws.ticks import Ticks
from functions.domain import layout
from functions.domain.artifact import read_artifact
from functions.domain.errors import WetreadError
from functions.domain.row import timestamp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient


class PromotionRefused(WetreadError):
    """A version cannot become champion; the message says why."""


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One ModelPackage: ``model_package`` is "<group>/<version>", ``approval`` SageMaker's ModelApprovalStatus."""

    model_package: str
    arn: str
    approval: str
    created_at: str
    name: str
    version: str
    artifact_sha256: str


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The versions of one ModelPackageGroup. Nothing here needs a deployment."""

    s3: S3Client
    sagemaker: SageMakerClient
    champions: Champions
    ticks: Ticks
    models_bucket: str
    group: str
    image_uri: str
    job_role_arn: str
    clock: Callable[[], datetime]

    def register(self, path: Path) -> ModelVersion:
        """Store an artifact under its digest and make a ModelPackage of it; again with the same file changes nothing.

        Raises InvalidArtifact for a file that is none.
        """
        artifact = read_artifact(path)
        for known in self.versions():
            if known.artifact_sha256 == artifact.sha256:
                return known
        key = layout.artifact_key(artifact.sha256)
        with path.open("rb") as body:
            checksum = base64.b64encode(bytes.fromhex(artifact.sha256)).decode()
            self.s3.put_object(Bucket=self.models_bucket, Key=key, Body=body, ChecksumSHA256=checksum)
        arn = self.sagemaker.create_model_package(
            ModelPackageGroupName=self.group,
            ModelPackageDescription=f"{artifact.name} {artifact.version}: {', '.join(artifact.labels)}",
            InferenceSpecification={
                "Containers": [{"Image": self.image_uri, "ModelDataUrl": f"s3://{self.models_bucket}/{key}"}],
                "SupportedContentTypes": ["application/dicom"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            ModelApprovalStatus="PendingManualApproval",
            CustomerMetadataProperties={
                "Name": artifact.name,
                "Version": artifact.version,
                "ArtifactSHA256": artifact.sha256,
            },
        )["ModelPackageArn"]
        return self._describe(arn)

    def versions(self) -> list[ModelVersion]:
        """All versions, newest first."""
        pages = self.sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=self.group, SortBy="CreationTime", SortOrder="Descending"
        )
        return [
            self._describe(summary["ModelPackageArn"]) for page in pages for summary in page["ModelPackageSummaryList"]
        ]

    def champion(self) -> Champion | None:
        """The version that new batches use."""
        return self.champions.get()

    def promote(self, model_package: str) -> Champion:
        """Make a version ("<group>/<version>" or "<version>") the champion and wake the uploads that wait for one.

        Raises PromotionRefused for an unknown version, a changed artifact, or when another promotion came between.
        """
        number = model_package.rsplit("/", 1)[-1]
        found = [version for version in self.versions() if version.model_package == f"{self.group}/{number}"]
        if not found:
            raise PromotionRefused(f"There is no version {model_package!r} in {self.group}; see `wetread model list`.")
        version = found[0]
        self._check_artifact(version)
        self.sagemaker.update_model_package(ModelPackageArn=version.arn, ModelApprovalStatus="Approved")
        current = self.champions.get()
        champion = Champion(
            model_name=self._create_model(version),
            model_package=version.model_package,
            model_package_arn=version.arn,
            artifact_sha256=version.artifact_sha256,
            promoted_at=timestamp(self.clock()),
            previous=_before(version, current),
        )
        if not self.champions.move(champion, current):
            raise PromotionRefused("Another promotion came between; look at `wetread model list` and promote again.")
        self.ticks.send(self.clock())
        return champion

    def _check_artifact(self, version: ModelVersion) -> None:
        key = layout.artifact_key(version.artifact_sha256)
        head = self.s3.head_object(Bucket=self.models_bucket, Key=key, ChecksumMode="ENABLED")
        if base64.b64decode(head.get("ChecksumSHA256", "")).hex() != version.artifact_sha256:
            raise PromotionRefused(
                f"The artifact of {version.model_package} in s3://{self.models_bucket}/{key} is not the one that was "
                "registered; register it again."
            )

    def _create_model(self, version: ModelVersion) -> str:
        # A Model cannot be changed: another image or role makes another one, so that promoting again takes them up.
        makings = hashlib.sha256(
            f"{version.artifact_sha256}\0{self.image_uri}\0{self.job_role_arn}".encode()
        ).hexdigest()
        name = f"{version.model_package.replace('/', '-')}-{makings[:12]}".lower()
        data_url = f"s3://{self.models_bucket}/{layout.artifact_key(version.artifact_sha256)}"
        try:
            self.sagemaker.create_model(
                ModelName=name,
                PrimaryContainer={"Image": self.image_uri, "ModelDataUrl": data_url},
                ExecutionRoleArn=self.job_role_arn,
                EnableNetworkIsolation=True,
            )
        except ClientError as error:
            if error_code(error) != "ValidationException" or "already exist" not in str(error):
                raise
        return name

    def _describe(self, arn: str) -> ModelVersion:
        answer = self.sagemaker.describe_model_package(ModelPackageName=arn)
        properties = answer.get("CustomerMetadataProperties", {})
        return ModelVersion(
            model_package=f"{answer['ModelPackageGroupName']}/{answer['ModelPackageVersion']}",
            arn=arn,
            approval=answer.get("ModelApprovalStatus", ""),
            created_at=timestamp(answer["CreationTime"]),
            name=properties.get("Name", ""),
            version=properties.get("Version", ""),
            artifact_sha256=properties.get("ArtifactSHA256", ""),
        )


def _before(version: ModelVersion, current: Champion | None) -> str:
    """The champion before this one: promoting the champion again keeps the way back."""
    if current is None:
        return ""
    return current.previous if current.model_package == version.model_package else current.model_package
