"""A Lambda function of the service; the code, layer and defaults that all functions share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from aws_cdk import Duration, IgnoreMode, Size
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from functions.settings import to_environment
from infra.compliance import acknowledge, acknowledge_wildcard
from infra.config import StageConfig
from infra.grants import acknowledge_inline_policy
from infra.kept import log_retention, removal_policy
from infra.layer import DependencyLayer
from infra.network import allow_function_interfaces

ROOT = Path(__file__).parent.parent
RUNTIME = lambda_.Runtime.PYTHON_3_13
ARCHITECTURE = lambda_.Architecture.ARM_64
ACKNOWLEDGED = {
    "AwsSolutions-L1": "Python 3.13 has security updates until 2029; a newer one is taken once pydicom declares it.",
    "HIPAA.Security-LambdaConcurrency": (
        "Queues and slots bound what runs at once; reserved concurrency would be taken from the rest of the account."
    ),
    "HIPAA.Security-LambdaDLQ": (
        "Failures end in the queue's dead letters or in the state machine, and the sweep runs every minute."
    ),
}
WITHOUT_VPC = {
    "HIPAA.Security-LambdaInsideVPC": (
        "It calls AWS services only, over TLS and by IAM; a VPC would add costs and no boundary."
    ),
}


class FunctionDefaults(Construct):
    """What all functions share: the code asset, the layer, the key of their logs."""

    def __init__(self, scope: Construct, id_: str, *, config: StageConfig, log_key: kms.IKey) -> None:
        super().__init__(scope, id_)
        # Only these packages, under their own names: a module is imported in Lambda as it is in the tests.
        packages = [
            pattern for name in ("aggregation", "functions", "untrusted") for pattern in (f"!{name}", f"!{name}/**")
        ]
        self.code = lambda_.Code.from_asset(
            str(ROOT), exclude=["*", *packages, "**/__pycache__"], ignore_mode=IgnoreMode.GIT
        )
        self.layer = DependencyLayer(self, "Dependencies", runtime=RUNTIME)
        self.log_key = log_key
        self.log_removal = removal_policy(config)
        self.log_retention = log_retention(config)
        self.config = config
        self.environment = {"POWERTOOLS_SERVICE_NAME": config.service_name, "POWERTOOLS_LOG_LEVEL": config.log_level}


class Function(lambda_.Function):
    """The handler of ``functions.<module>`` with its settings; it may write its own log and traces, nothing else.

    ``scratch_size`` is the room in /tmp (512 MiB unless given), ``layers`` are those besides the one of all functions.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        module: str,
        settings: object,
        defaults: FunctionDefaults,
        timeout: Duration,
        memory_size: int,
        scratch_size: Size | None = None,
        layers: Sequence[lambda_.ILayerVersion] = (),
    ) -> None:
        log_group = logs.LogGroup(
            scope,
            f"{id_}Log",
            encryption_key=defaults.log_key,
            retention=defaults.log_retention,
            removal_policy=defaults.log_removal,
        )
        # Not the default role: its managed policy may write every log group.
        role = iam.Role(scope, f"{id_}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        acknowledge_inline_policy(role)
        acknowledge_wildcard(role, "*", because="The actions of X-Ray take no resources.")
        log_group.grant_write(role)
        allow_function_interfaces(role, defaults.config)
        super().__init__(
            scope,
            id_,
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            code=defaults.code,
            layers=[defaults.layer, *layers],
            handler=f"functions.{module}.handler",
            environment=defaults.environment | to_environment(settings),
            role=role,
            log_group=log_group,
            tracing=lambda_.Tracing.ACTIVE,
            timeout=timeout,
            memory_size=memory_size,
            ephemeral_storage_size=scratch_size,
        )
        vpc = defaults.config.placement.vpc_config
        if vpc:
            # By the L1: the L2 needs a VPC with its subnets' zones, where the ids are enough.
            cfn = cast("lambda_.CfnFunction", self.node.default_child)
            cfn.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
                subnet_ids=vpc["Subnets"], security_group_ids=vpc["SecurityGroupIds"]
            )
        for rule, because in (ACKNOWLEDGED | ({} if vpc else WITHOUT_VPC)).items():
            acknowledge(self, rule, because=because)
