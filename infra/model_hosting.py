"""What hosting a model needs: the container image, the roles of jobs and endpoint, the group of model packages.

The Model itself is created by a promotion, without a deployment.
"""

from __future__ import annotations

import re

from aws_cdk import Aws, IgnoreMode
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.config import StageConfig
from infra.function import ROOT
from infra.grants import allow, arn_of
from infra.job_role import JobRole
from infra.kept import removal_policy

ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<name>[^:@]+)([:@].+)?"
)
# What pip takes by default holds gigabytes of CUDA, which every job would pull for nothing.
IMAGE_ROOMS = ("aggregation", "express", "model_code", "untrusted")
CPU_TORCH = "https://download.pytorch.org/whl/cpu"
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
JOB_LOG_GROUP = "/aws/sagemaker/TransformJobs"
ENDPOINT_LOG_GROUP = "/aws/sagemaker/Endpoints"


class ModelHosting(Construct):
    """``image_uri``, ``job_role``, ``endpoint_role`` and ``package_group``."""

    def __init__(self, scope: Construct, id_: str, *, config: StageConfig) -> None:
        super().__init__(scope, id_)
        self._group = config.service_name
        self._tagged = bool(config.tags)
        self.package_group = sagemaker.CfnModelPackageGroup(
            self,
            "PackageGroup",
            model_package_group_name=self._group,
            model_package_group_description="Every model that was a candidate for the service",
        )
        self.package_group.apply_removal_policy(removal_policy(config))
        self.job_role = JobRole(
            self,
            "JobRole",
            config=config,
            description="SageMaker moves the data of wetread's transform jobs with this role",
            log_groups=(JOB_LOG_GROUP,),
        )
        # The endpoint itself is started and ended by a person, with `wetread endpoint`.
        self.endpoint_role = JobRole(
            self,
            "EndpointRole",
            config=config,
            description="SageMaker serves wetread's real-time endpoint with this role",
            log_groups=(ENDPOINT_LOG_GROUP,),
        )
        self._repository: ecr.IRepository | None = None
        self.image_uri = self._given_image(config.image_uri) if config.image_uri else self._built_image(config)
        self.grant_pull(self.job_role)
        self.grant_pull(self.endpoint_role)

    def grant_pull(self, grantee: iam.IGrantable) -> None:
        """Let the grantee pull the image; does nothing for other registries than ECR, which SageMaker refuses."""
        if self._repository:
            allow(grantee, *PULL, on=[self._repository.repository_arn])
            allow(grantee, "ecr:GetAuthorizationToken", on=["*"], because="The action takes no resources.")

    def grant_look(self, grantee: iam.IGrantable) -> None:
        """Let the grantee see that the group is there, and the kind of the image's manifest."""
        allow(grantee, "sagemaker:DescribeModelPackageGroup", on=[self._group_arn])
        if self._repository:
            allow(grantee, "ecr:DescribeImages", on=[self._repository.repository_arn])

    def grant_register(self, grantee: iam.IGrantable) -> None:
        """Let the grantee add versions to the group, and list them."""
        allow(
            grantee,
            "sagemaker:ListModelPackages",
            on=["*"],
            because="ListModelPackages has no reliable resource-level scope.",
        )
        allow(grantee, "sagemaker:CreateModelPackage", on=[self._group_arn])
        self._allow_versions(grantee, "CreateModelPackage")

    def grant_describe_versions(self, grantee: iam.IGrantable) -> None:
        """Let the grantee see what a version of the group was trained on."""
        self._allow_versions(grantee, "DescribeModelPackage")

    def grant_promote(self, grantee: iam.IGrantable) -> None:
        """Let the grantee approve or reject versions of the group, and create the Models that transform jobs use.

        Only Models without a network: who creates one chooses its image, which reads uploads with the role of the job.
        """
        self._allow_versions(grantee, "DescribeModelPackage", "UpdateModelPackage")
        # The Models' names start with the group's.
        models = arn_of(self, "sagemaker", "model", f"{self._group}-*")
        isolated = {"Bool": {"sagemaker:NetworkIsolation": "true"}}
        many = "Every promotion creates another Model."
        allow(grantee, "sagemaker:CreateModel", on=[models], when=isolated, because=many)
        if self._tagged:
            allow(grantee, "sagemaker:AddTags", on=[models], because=many)
        # DescribeModel when the name is taken: by an earlier try, or by another Model.
        allow(grantee, "sagemaker:DescribeModel", on=[models], because=many)
        to_sagemaker = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
        allow(grantee, "iam:PassRole", on=[self.job_role.role_arn], when=to_sagemaker)

    def _allow_versions(self, grantee: iam.IGrantable, *verbs: str) -> None:
        versions = arn_of(self, "sagemaker", "model-package", f"{self._group}/*")
        actions = [f"sagemaker:{verb}" for verb in verbs]
        allow(grantee, *actions, on=[versions], because="The group's versions are those of all candidates.")

    @property
    def _group_arn(self) -> str:
        return arn_of(self, "sagemaker", "model-package-group", self._group)

    def _built_image(self, config: StageConfig) -> str:
        """Return the URI of the image of model_code/, built at deployment."""
        image = ecr_assets.DockerImageAsset(
            self,
            "Image",
            directory=str(ROOT),
            file="model_code/Dockerfile",
            # What model_code/Dockerfile.dockerignore says to docker, which CDK does not read.
            exclude=[
                "*",
                *(pattern for name in IMAGE_ROOMS for pattern in (f"!{name}", f"!{name}/**")),
                "**/__pycache__",
            ],
            ignore_mode=IgnoreMode.GIT,
            # A stage with GPUs names an index: the settings demand it.
            build_args={"TORCH_INDEX_URL": config.torch_index_url or CPU_TORCH},
            platform=ecr_assets.Platform.LINUX_AMD64,
            # CreateModel refuses OCI manifests, which a current docker would push; CreateTrainingJob accepts both.
            outputs=["type=image,oci-mediatypes=false"],
        )
        self._repository = image.repository
        return image.image_uri

    def _given_image(self, uri: str) -> str:
        """Return the URI of the stage's settings, and keep its repository when it is in ECR."""
        found = ECR_IMAGE.fullmatch(uri)
        if found:
            arn = f"arn:{Aws.PARTITION}:ecr:{found['region']}:{found['account']}:repository/{found['name']}"
            self._repository = ecr.Repository.from_repository_attributes(
                self, "Repository", repository_arn=arn, repository_name=found["name"]
            )
        return uri
