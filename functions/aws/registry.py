"""The model registry: artifacts become ModelPackages, a ModelPackage becomes the champion's Model."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.aws import models
from functions.aws.artifacts import Artifacts
from functions.aws.caller import Caller
from functions.aws.champion import Champion, Champions
from functions.aws.items import error_code
from functions.aws.ticks import Ticks
from functions.domain.artifact import Artifact, read_artifact
from functions.domain.errors import WetreadError
from functions.domain.evidence import Evidence
from functions.domain.row import timestamp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.literals import ModelApprovalStatusType

READERS = 8  # versions described at once
PAGE = 100  # the most versions of one list request
MOST_DESCRIPTION = 1024  # characters of an ApprovalDescription


class PromotionRefused(WetreadError):
    """A version cannot become champion; the message says why."""


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One ModelPackage: ``model_package`` is "<group>/<version>", ``approval`` SageMaker's ModelApprovalStatus.

    What the training workflow knew when it registered the version follows ``weights_sha256`` (which is "" for a version
    from before it was recorded); a version that a person registered by hand has none of it.
    """

    model_package: str
    arn: str
    approval: str
    created_at: str
    name: str
    version: str
    artifact_sha256: str
    weights_sha256: str = ""
    run: str = ""
    snapshot_digest: str = ""
    accepted_risks: tuple[str, ...] = ()
    balanced_accuracy: float | None = None
    evaluated_against: str = ""
    evaluation_uri: str = ""


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
    caller: Caller

    def register(self, path: Path, evidence: Evidence | None = None) -> ModelVersion:
        """Store an artifact under its digest and make a ModelPackage of it; again with the same changes nothing.

        The same is the same file by hand, and the same run for the training workflow, which gives its ``evidence``.
        Raises InvalidArtifact for a file that is none.
        """
        artifact = read_artifact(path)
        for known in self.versions():
            if known.run == evidence.run if evidence else known.artifact_sha256 == artifact.sha256:
                return known
        request = self._package(artifact, self.store(artifact), evidence)
        return self.describe(self.sagemaker.create_model_package(**request)["ModelPackageArn"])

    def store(self, artifact: Artifact) -> str:
        """Put an artifact into the models bucket under its digest; the URI. No version comes of that alone.

        Raises PromotionRefused when other bytes lie under that digest.
        """
        if not self._artifacts.keep(artifact.path, artifact.sha256):
            raise PromotionRefused(
                f"{self._artifacts.uri(artifact.sha256)} holds other bytes than those with its digest, and the bucket "
                "lets nobody replace them: see Lift write-once in docs/operations.md."
            )
        return self._artifacts.uri(artifact.sha256)

    def artifact_uri(self, version: ModelVersion) -> str:
        """Where a version's artifact is; raises PromotionRefused when it is not the one that was registered."""
        uri = self._artifacts.uri(version.artifact_sha256)
        if not self._artifacts.is_intact(version.artifact_sha256):
            raise PromotionRefused(
                f"The artifact of {version.model_package} in {uri} is gone, or not the one that was registered. "
                "Promote another version, or see Lift write-once in docs/operations.md."
            )
        return uri

    def versions(self) -> list[ModelVersion]:
        """All versions, newest first."""
        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(self.describe, [summary["ModelPackageArn"] for summary in self._summaries()]))

    def version(self, model_package: str) -> ModelVersion:
        """One version, "<group>/<version>" or "<version>"; raises PromotionRefused when there is none."""
        number = model_package.rsplit("/", 1)[-1]
        for summary in self._summaries():
            if str(summary["ModelPackageVersion"]) == number and model_package in {number, f"{self.group}/{number}"}:
                return self.describe(summary["ModelPackageArn"])
        raise PromotionRefused(f"There is no version {model_package!r} in {self.group}; see `wetread model list`.")

    def champion(self) -> Champion | None:
        """The version that new batches use."""
        return self.champions.get()

    def promote(self, model_package: str) -> Champion:
        """Make a version ("<group>/<version>" or "<version>") the champion and wake the uploads that wait for one.

        A person's own decision: whatever the version's approval, and withdrawn or not (then it is so no more).
        Raises PromotionRefused for an unknown version, a changed artifact, or when another promotion came between.
        """
        champion = self.crown(self.version(model_package), self.champions.get())
        if champion is None:
            raise PromotionRefused("Another promotion came between; look at `wetread model list` and promote again.")
        return champion

    def crown(self, version: ModelVersion, current: Champion | None) -> Champion | None:
        """Make ``version`` the champion after ``current``; None when another has been promoted meanwhile.

        The Model first, then the pointer, then the approval: whoever is told of the approval finds the champion.
        """
        champion = self.candidate(version, _before(version, current))
        if not self.champions.move(champion, current):
            return None
        self.announce(version)
        return champion

    def candidate(self, version: ModelVersion, previous: str) -> Champion:
        """A version made ready to be champion: its artifact checked, its Model created. Raises PromotionRefused."""
        return Champion(
            model_name=self._create_model(version, self.artifact_uri(version)),
            model_package=version.model_package,
            model_package_arn=version.arn,
            artifact_sha256=version.artifact_sha256,
            weights_sha256=version.weights_sha256,
            promoted_at=timestamp(self.clock()),
            promoted_by=self.caller(),
            previous=previous,
        )

    def announce(self, version: ModelVersion) -> None:
        """What follows when a version has become champion: it is approved, and waiting uploads start."""
        if version.approval != "Approved":
            self._set_approval(version.arn, "Approved")
        self.ticks.send(self.clock())

    def reject(self, arn: str, reason: str) -> None:
        """Record that the version must not serve, and why. The champion stays whoever it is."""
        self._set_approval(arn, "Rejected", reason)

    def describe(self, arn: str) -> ModelVersion:
        """One version by its ARN."""
        answer = self.sagemaker.describe_model_package(ModelPackageName=arn)
        properties = answer.get("CustomerMetadataProperties", {})
        quality = answer.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {})
        accuracy = properties.get("BalancedAccuracy")
        return ModelVersion(
            model_package=f"{answer['ModelPackageGroupName']}/{answer['ModelPackageVersion']}",
            arn=arn,
            approval=answer.get("ModelApprovalStatus", ""),
            created_at=timestamp(answer["CreationTime"]),
            name=properties.get("Name", ""),
            version=properties.get("Version", ""),
            artifact_sha256=properties.get("ArtifactSHA256", ""),
            weights_sha256=properties.get("WeightsSHA256", ""),
            run=properties.get("Run", ""),
            snapshot_digest=properties.get("SnapshotDigest", ""),
            accepted_risks=tuple(properties.get("AcceptedRisks", "").split()),
            balanced_accuracy=float(accuracy) if accuracy else None,
            evaluated_against=properties.get("EvaluatedAgainst", ""),
            evaluation_uri=quality.get("S3Uri", ""),
        )

    def _summaries(self) -> list[Any]:
        """What ListModelPackages says of each version, newest first."""
        pages = self.sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=self.group,
            SortBy="CreationTime",
            SortOrder="Descending",
            PaginationConfig={"PageSize": PAGE},
        )
        return [summary for page in pages for summary in page["ModelPackageSummaryList"]]

    def _package(self, artifact: Artifact, uri: str, evidence: Evidence | None) -> dict[str, Any]:
        """The request that makes a ModelPackage of a stored artifact."""
        properties = {
            "Name": artifact.name,
            "Version": artifact.version,
            "ArtifactSHA256": artifact.sha256,
            "WeightsSHA256": artifact.weights_sha256,
        }
        request: dict[str, Any] = {
            "ModelPackageGroupName": self.group,
            "ModelPackageDescription": f"{artifact.name} {artifact.version}: {', '.join(artifact.labels)}",
            "InferenceSpecification": {
                "Containers": [{"Image": self.image_uri, "ModelDataUrl": uri}],
                "SupportedContentTypes": ["application/dicom"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            "ModelApprovalStatus": "PendingManualApproval",
            "CustomerMetadataProperties": properties,
        }
        if evidence:
            statistics = {"ContentType": "application/json", "S3Uri": evidence.evaluation_uri}
            request["ModelMetrics"] = {"ModelQuality": {"Statistics": statistics}}
            request["CustomerMetadataProperties"] = properties | evidence.properties()
            request["ClientToken"] = evidence.run
        return request

    def _set_approval(self, arn: str, status: ModelApprovalStatusType, reason: str = "") -> None:
        why: Any = {"ApprovalDescription": reason[:MOST_DESCRIPTION]} if reason else {}
        self.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status, **why)

    def _create_model(self, version: ModelVersion, data_url: str) -> str:
        # A Model cannot be changed: another image or role makes another one, so that promoting again takes them up.
        name = models.name_of(
            version.model_package, sha256=version.artifact_sha256, image=self.image_uri, role_arn=self.job_role_arn
        )
        asked = models.request(name, image=self.image_uri, data_url=data_url, role_arn=self.job_role_arn)
        try:
            self.sagemaker.create_model(**asked)
        except ClientError as error:
            if error_code(error) != "ValidationException" or "already exist" not in str(error):
                raise
            others = models.differences(asked, self.sagemaker.describe_model(ModelName=name))
            if others:
                raise PromotionRefused(
                    f"There is a SageMaker Model {name} that is not the one asked for: its {', '.join(others)} differ. "
                    f"Find out who made it, delete it (aws sagemaker delete-model --model-name {name}), try again."
                ) from error
        return name

    @property
    def _artifacts(self) -> Artifacts:
        return Artifacts(self.s3, self.models_bucket)


def _before(version: ModelVersion, current: Champion | None) -> str:
    """The champion before this one: promoting the champion again keeps the way back."""
    if current is None:
        return ""
    return current.previous if current.model_package == version.model_package else current.model_package
