"""What a transform job runs as: the container image, the execution role, and the group that the model packages join.

There is no model here: a promotion makes one, without a deployment.
"""

from __future__ import annotations

import re

from aws_cdk import ArnFormat, Aws, RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.config import StageConfig
from infra.function import ROOT

ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<name>[^:@]+)([:@].+)?"
)
JOB_LOG_GROUP = "/aws/sagemaker/TransformJobs"


class Model(Construct):
    """``image_uri``, ``job_role`` and ``package_group``."""

    def __init__(self, scope: Construct, id_: str, *, config: StageConfig) -> None:
        super().__init__(scope, id_)
        self.package_group = sagemaker.CfnModelPackageGroup(
            self,
            "PackageGroup",
            model_package_group_name=config.service_name,
            model_package_group_description="Every model that was a candidate for the service",
        )
        if config.protect_data:
            self.package_group.apply_removal_policy(RemovalPolicy.RETAIN)
        self.job_role = iam.Role(
            self,
            "JobRole",
            description="SageMaker moves the data of wetread's transform jobs with this role",
            # The condition keeps a SageMaker that works for another account from borrowing the role.
            assumed_by=iam.ServicePrincipal(
                "sagemaker.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        self._grant_observability()
        self.image_uri = self._given_image(config.image_uri) if config.image_uri else self._built_image(config)

    def _built_image(self, config: StageConfig) -> str:
        """The image of model_code/, built at deployment; the job role may pull it."""
        image = ecr_assets.DockerImageAsset(
            self,
            "Image",
            directory=str(ROOT / "model_code"),
            build_args={"TORCH_INDEX_URL": config.torch_index_url} if config.torch_index_url else None,
            platform=ecr_assets.Platform.LINUX_AMD64,
        )
        image.repository.grant_pull(self.job_role)
        return image.image_uri

    def _given_image(self, uri: str) -> str:
        """The image of the stage's settings; the job role may pull it when it is in ECR (SageMaker takes no other)."""
        found = ECR_IMAGE.fullmatch(uri)
        if found:
            arn = f"arn:{Aws.PARTITION}:ecr:{found['region']}:{found['account']}:repository/{found['name']}"
            repository = ecr.Repository.from_repository_attributes(
                self, "Repository", repository_arn=arn, repository_name=found["name"]
            )
            repository.grant_pull(self.job_role)
        return uri

    def _grant_observability(self) -> None:
        # The group and its streams: an ARN of a stream continues the group's with a colon.
        job_logs = Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"{JOB_LOG_GROUP}*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        for statement in (
            iam.PolicyStatement(
                actions=["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
                resources=[job_logs],
            ),
            iam.PolicyStatement(
                actions=["cloudwatch:PutMetricData"],
                resources=["*"],  # the action knows no resources, only the namespace
                conditions={"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
            ),
        ):
            self.job_role.add_to_policy(statement)
