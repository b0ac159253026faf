"""A role that SageMaker assumes for one kind of job; it may write that job's log and metrics."""

from __future__ import annotations

from aws_cdk import ArnFormat, Aws, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.config import StageConfig
from infra.grants import acknowledge_inline_policy, allow
from infra.network import allow_job_interfaces

LOG = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams")


class JobRole(iam.Role):
    """``log_groups`` are the groups in which SageMaker writes the logs of the jobs."""

    def __init__(
        self, scope: Construct, id_: str, *, config: StageConfig, description: str, log_groups: tuple[str, ...]
    ) -> None:
        super().__init__(
            scope,
            id_,
            description=description,
            # The condition keeps SageMaker from using the role on behalf of another account.
            assumed_by=iam.ServicePrincipal(
                "sagemaker.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        acknowledge_inline_policy(self)
        stack = Stack.of(self)
        # The group and its streams: the ARN of a stream is the group's, a colon and more.
        job_logs = [
            stack.format_arn(
                service="logs",
                resource="log-group",
                resource_name=f"{group}*",
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            )
            for group in log_groups
        ]
        allow(self, *LOG, on=job_logs, because="SageMaker creates a stream for every host of a job.")
        allow(
            self,
            "cloudwatch:PutMetricData",
            on=["*"],
            when={"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
            because="The action takes no resources, only the namespace.",
        )
        allow_job_interfaces(self, config)
