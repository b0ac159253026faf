"""The model registry: artifacts become ModelPackages, a ModelPackage becomes the champion's Model."""

from __future__ import annotations

import hashlib
import re
import unicodedata
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
from functions.aws.champion import Champions
from functions.aws.items import error_code
from functions.aws.ticks import Ticks
from functions.domain.against import Standing
from functions.domain.artifact import Artifact, read_artifact
from functions.domain.champion import Champion
from functions.domain.errors import PromotionRefused
from functions.domain.evidence import Evidence
from functions.domain.placement import Placement
from functions.domain.row import timestamp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.literals import ModelApprovalStatusType

READERS = 8  # versions described at once
PAGE = 100  # the most versions of one list request
MOST_DESCRIPTION = 1024  # characters of a description
# SageMaker trains with an image of OCI, and refuses it here (aws/amazon-sagemaker-feedback#180).
WRONG_MANIFEST = re.compile(r"Unsupported manifest media type (\S+)")


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One ModelPackage: ``model_package`` is "<group>/<version>", ``approval`` SageMaker's ModelApprovalStatus.

    ``weights_sha256`` is "" for a version from before it was recorded. The fields after it are the training workflow's
    evidence; they are empty for a version that a person registered by hand. ``synthetic``: its artifact says that it
    has seen nothing but artificial slices. ``study_sha256`` is the digest of the rule by which it reads studies, "" for
    one whose artifact names none, ``script_sha256`` that of its script, "" for one from before it was recorded.
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
    synthetic: bool = False
    standing: Standing = Standing()  # noqa: RUF009 - frozen
    study_sha256: str = ""
    script_sha256: str = ""


def describe(sagemaker: SageMakerClient, arn: str) -> ModelVersion:
    """Return one version by its ARN."""
    answer = sagemaker.describe_model_package(ModelPackageName=arn)
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
        synthetic=properties.get("Synthetic") == "true",
        standing=Standing(reference=properties.get("Reference", ""), behind=float(properties.get("Behind", 0))),
        study_sha256=properties.get("StudySHA256", ""),
        script_sha256=properties.get("ScriptSHA256", ""),
    )


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The versions of one ModelPackageGroup. It needs no deployment."""

    s3: S3Client
    sagemaker: SageMakerClient
    champions: Champions
    ticks: Ticks
    models_bucket: str
    group: str
    image_uri: str
    job_role_arn: str
    placement: Placement
    clock: Callable[[], datetime]
    caller: Caller

    def register(self, path: Path, evidence: Evidence | None = None) -> ModelVersion:
        """Store an artifact under its digest and make a ModelPackage of it; return its version.

        Idempotent: by file digest when registered by hand, by run when the training workflow registers with its
        ``evidence``. Raises InvalidArtifact if the file is not a model artifact.
        """
        artifact = read_artifact(path)
        for known in self.versions():
            if known.run == evidence.run if evidence else known.artifact_sha256 == artifact.sha256:
                return known
        request = self._package(artifact, self.store(artifact), evidence)
        return self.describe(self.sagemaker.create_model_package(**request)["ModelPackageArn"])

    def store(self, artifact: Artifact) -> str:
        """Put an artifact into the models bucket under its digest; return the URI. This makes no version.

        How it reads studies is put beside it, first: an artifact is there with all that a promotion reads. Raises
        PromotionRefused if the key has other bytes.
        """
        if artifact.study:
            self._artifacts.keep_study_rule(artifact.sha256, artifact.study)
        if not self._artifacts.keep(artifact.path, artifact.sha256):
            raise PromotionRefused(
                f"{self._artifacts.uri(artifact.sha256)} holds other bytes than those with its digest, and the bucket "
                "does not let them be replaced: see Lift write-once in docs/operations.md."
            )
        return self._artifacts.uri(artifact.sha256)

    def artifact_uri(self, version: ModelVersion) -> str:
        """Return the URI of a version's artifact; raise PromotionRefused if the bytes are not the registered ones."""
        uri = self._artifacts.uri(version.artifact_sha256)
        if not self._artifacts.is_intact(version.artifact_sha256):
            raise PromotionRefused(
                f"The artifact of {version.model_package} in {uri} is gone, or not the one that was registered. "
                "Promote another version, or see Lift write-once in docs/operations.md."
            )
        return uri

    def study_rule(self, version: ModelVersion) -> str:
        """Return how a version reads studies, "" if its artifact does not say; raise PromotionRefused if it is lost."""
        if not version.study_sha256:
            return ""
        rule = self._artifacts.study_rule(version.artifact_sha256, version.study_sha256)
        if rule is None:
            raise PromotionRefused(
                f"The rule by which {version.model_package} reads studies, beside its artifact in "
                f"{self._artifacts.uri(version.artifact_sha256)}, is gone, or not the one that was registered. Promote "
                "another version, or see Lift write-once in docs/operations.md."
            )
        return rule

    def versions(self) -> list[ModelVersion]:
        """Return all versions, newest first."""
        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(self.describe, [summary["ModelPackageArn"] for summary in self._summaries()]))

    def version(self, model_package: str) -> ModelVersion:
        """Return one version, "<group>/<version>" or "<version>"; raise PromotionRefused if it does not exist."""
        number = model_package.rsplit("/", 1)[-1]
        for summary in self._summaries():
            if str(summary["ModelPackageVersion"]) == number and model_package in {number, f"{self.group}/{number}"}:
                return self.describe(summary["ModelPackageArn"])
        raise PromotionRefused(f"There is no version {model_package!r} in {self.group}; see `wetread model list`.")

    def champion(self) -> Champion | None:
        """Return the version that new batches use."""
        return self.champions.get()

    def promote(self, model_package: str) -> Champion:
        """Make a version ("<group>/<version>" or "<version>") the champion and wake the uploads that wait for one.

        Ignores approval status; clears the withdrawn mark. Later candidates are compared with this version alone,
        whatever it was compared with. Raises PromotionRefused for an unknown version, a changed artifact, or if another
        promotion came between.
        """
        champion = self.set_champion(self.version(model_package), self.champions.get(), Standing())
        if champion is None:
            raise PromotionRefused("Another promotion came between; look at `wetread model list` and promote again.")
        return champion

    def set_champion(self, version: ModelVersion, current: Champion | None, standing: Standing) -> Champion | None:
        """Make ``version`` the champion after ``current``; return None if another was promoted meanwhile.

        The Model comes first, then the pointer, then the approval: readers of the approval event find the champion.
        """
        champion = self.candidate(version, _before(version, current), standing)
        if not self.champions.move(champion, current):
            return None
        self.after_promotion(version)
        return champion

    def candidate(self, version: ModelVersion, previous: str, standing: Standing) -> Champion:
        """Check a version's artifact and create its Model; return it as a champion. Raises PromotionRefused."""
        return Champion(
            model_name=self._create_model(version, self.artifact_uri(version)),
            model_package=version.model_package,
            model_package_arn=version.arn,
            artifact_sha256=version.artifact_sha256,
            weights_sha256=version.weights_sha256,
            promoted_at=timestamp(self.clock()),
            promoted_by=self.caller(),
            previous=previous,
            reference=standing.reference,
            behind=standing.behind,
            study=self.study_rule(version),
            script_sha256=version.script_sha256,
        )

    def after_promotion(self, version: ModelVersion) -> None:
        """Approve a version that has become champion, and wake dispatch for the uploads that waited for it."""
        if version.approval != "Approved":
            self._set_approval(version.arn, "Approved")
        self.ticks.send(self.clock())

    def reject(self, arn: str, reason: str) -> None:
        """Record that the version must not serve, and why. This does not change the champion."""
        self._set_approval(arn, "Rejected", reason)

    def describe(self, arn: str) -> ModelVersion:
        """Return one version by its ARN."""
        return describe(self.sagemaker, arn)

    def _summaries(self) -> list[Any]:
        """Return what ListModelPackages says of each version, newest first."""
        pages = self.sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=self.group,
            SortBy="CreationTime",
            SortOrder="Descending",
            PaginationConfig={"PageSize": PAGE},
        )
        return [summary for page in pages for summary in page["ModelPackageSummaryList"]]

    def _package(self, artifact: Artifact, uri: str, evidence: Evidence | None) -> dict[str, Any]:
        """Return the request that makes a ModelPackage of a stored artifact."""
        properties = {
            "Name": artifact.name,
            "Version": artifact.version,
            "ArtifactSHA256": artifact.sha256,
            "WeightsSHA256": artifact.weights_sha256,
            "ScriptSHA256": artifact.script_sha256,
            **({"Synthetic": "true"} if artifact.synthetic else {}),
            **({"StudySHA256": hashlib.sha256(artifact.study.encode()).hexdigest()} if artifact.study else {}),
        }
        named = f"{artifact.name} {artifact.version}: {', '.join(artifact.labels)}"
        request: dict[str, Any] = {
            "ModelPackageGroupName": self.group,
            "ModelPackageDescription": _description(named),
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
        why: Any = {"ApprovalDescription": _description(reason)} if reason else {}
        self.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status, **why)

    def _create_model(self, version: ModelVersion, data_url: str) -> str:
        # A Model cannot be changed. Another image or role makes another Model, so promoting again uses them.
        vpc = self.placement.vpc_config
        name = models.name_of(
            version.model_package,
            sha256=version.artifact_sha256,
            image=self.image_uri,
            role_arn=self.job_role_arn,
            vpc=vpc,
        )
        asked = models.request(name, image=self.image_uri, data_url=data_url, role_arn=self.job_role_arn, vpc=vpc)
        tags: Any = {"Tags": self.placement.tags} if self.placement.tags else {}
        try:
            self.sagemaker.create_model(**asked, **tags)
        except ClientError as error:
            if kind := WRONG_MANIFEST.search(str(error)):
                raise PromotionRefused(
                    f"SageMaker makes no model of the image {self.image_uri}: its manifest has the type {kind[1]}. "
                    "Build the image with docker's manifest (docs/operations.md, Training and the gates) and deploy "
                    f"it; then promote {version.model_package}, which is registered and need not be trained again."
                ) from error
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


def _description(text: str) -> str:
    """Return a text as SageMaker takes it for a description: its start, with spaces for joiners and the like."""
    return "".join(" " if unicodedata.category(one)[0] == "C" else one for one in text)[:MOST_DESCRIPTION]


def _before(version: ModelVersion, current: Champion | None) -> str:
    """Return the predecessor to record: promoting the champion again keeps its predecessor."""
    if current is None:
        return ""
    return current.previous if current.model_package == version.model_package else current.model_package
