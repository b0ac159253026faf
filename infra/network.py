"""What functions and jobs may do in EC2, where a stage has a VPC: make and delete their own network interfaces."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws
from aws_cdk import aws_iam as iam

from infra.compliance import acknowledge_wildcard
from infra.config import StageConfig
from infra.grants import allow, arn_of

MAKE = "ec2:CreateNetworkInterface"
# Lambda checks a role for these when a function gets a VPC.
FUNCTION_SEES = ("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets")
FUNCTION_ENDS = ("ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses")
# SageMaker's guide lists these for jobs and Models.
JOB_SEES = (
    *("ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcs", "ec2:DescribeDhcpOptions"),
    *("ec2:DescribeSubnets", "ec2:DescribeSecurityGroups"),
)
JOB_ENDS = (
    *("ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface"),
    "ec2:DeleteNetworkInterfacePermission",
)
MANY = "Every host and function gets network interfaces, whose ids are random."


def allow_function_interfaces(role: iam.Role, config: StageConfig) -> None:
    """Let Lambda connect a function to the stage's subnets; the function's code itself may not."""
    if not config.subnet_ids:
        return
    _allow_making(role, config)
    allow(role, *FUNCTION_SEES, on=["*"], because="These actions take no resources.")
    # Lambda's guide: a role without all resources may leave a function without its network.
    allow(role, *FUNCTION_ENDS, on=[arn_of(role, "ec2", "*", "*")], because=MANY)
    role.add_to_policy(
        iam.PolicyStatement(
            effect=iam.Effect.DENY,
            actions=[MAKE, *FUNCTION_SEES, *FUNCTION_ENDS],
            resources=["*"],
            # Lambda itself calls without the key; what runs in the function has it in each request.
            conditions={"Null": {"lambda:SourceFunctionArn": "false"}},
        )
    )


def allow_job_interfaces(role: iam.Role, config: StageConfig) -> None:
    """Let SageMaker connect the hosts of jobs and Models to the stage's subnets."""
    if not config.subnet_ids:
        return
    _allow_making(role, config)
    allow(role, *JOB_SEES, on=["*"], because="These actions take no resources.")
    allow(role, *JOB_ENDS, on=[_interfaces(role)], because=MANY)


def _allow_making(role: iam.Role, config: StageConfig) -> None:
    named = [*_named("subnet", config.subnet_ids), *_named("security-group", config.security_group_ids)]
    allow(role, MAKE, on=[*named, _interfaces(role)], because=MANY)
    for arn in named:
        acknowledge_wildcard(role, arn, because="A shared subnet belongs to the account that shares it.")


def _named(resource: str, ids: Sequence[str]) -> list[str]:
    """Return ARNs in any account: a shared subnet belongs to the account that shares it."""
    return [f"arn:{Aws.PARTITION}:ec2:{Aws.REGION}:*:{resource}/{one}" for one in ids]


def _interfaces(role: iam.Role) -> str:
    return arn_of(role, "ec2", "network-interface", "*")
