"""The express lane: the function *express* in the container's image, which reads a small batch within seconds."""

from __future__ import annotations

import hashlib
from typing import cast

from aws_cdk import Duration, Size
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from functions.settings import RUN_SECONDS, START_SECONDS, ExpressLimits
from infra.compliance import acknowledge, acknowledge_wildcard
from infra.config import StageConfig
from infra.function import ACKNOWLEDGED, ROOT, WITHOUT_VPC, FunctionDefaults
from infra.grants import acknowledge_inline_policy, allow
from infra.network import allow_function_interfaces
from infra.queues import ReliableQueue
from infra.storage import Storage

SCRIPT = ROOT / "model_code/script/inference.py"
SCRATCH = Size.gibibytes(2)  # the artifact, twice: packed and unpacked


def express_limits(config: StageConfig) -> ExpressLimits:
    """Return what a stage's express lane takes."""
    return ExpressLimits(
        express=config.express,
        express_concurrency=config.express_concurrency,
        express_max=config.express_max,
        express_per_day=config.express_per_day,
        express_script_sha256=hashlib.sha256(SCRIPT.read_bytes()).hexdigest(),
    )


class Express(Construct):
    """``function`` reads copies, manifests and artifacts, and writes outputs and the records of its runs.

    Lambda does not repeat an invocation that failed: its record goes to ``job_events``, and a transform job reads the
    rest.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: StageConfig,
        storage: Storage,
        image_uri: str,
        job_events: ReliableQueue,
        defaults: FunctionDefaults,
    ) -> None:
        super().__init__(scope, id_)
        log_group = logs.LogGroup(
            self,
            "ExpressLog",
            encryption_key=defaults.log_key,
            retention=defaults.log_retention,
            removal_policy=defaults.log_removal,
        )
        role = iam.Role(self, "ExpressRole", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        acknowledge_inline_policy(role)
        log_group.grant_write(role)
        allow_function_interfaces(role, config)
        acknowledge_wildcard(role, "*", because="The actions of X-Ray take no resources.")
        # The code of a function must name a repository; the image may be in any, so its URI is set below.
        somewhere = ecr.Repository.from_repository_name(self, "Somewhere", "wetread")
        self.function = lambda_.Function(
            self,
            "Express",
            runtime=lambda_.Runtime.FROM_IMAGE,
            handler=lambda_.Handler.FROM_IMAGE,
            architecture=lambda_.Architecture.X86_64,
            code=lambda_.Code.from_ecr_image(
                somewhere,
                entrypoint=["python", "-m", "awslambdaric"],
                cmd=["express.handler.handler"],
                working_directory="/opt/wetread",
            ),
            environment={"JOB_EVENTS_QUEUE_URL": job_events.queue.queue_url},
            role=role,
            log_group=log_group,
            tracing=lambda_.Tracing.ACTIVE,
            timeout=Duration.seconds(RUN_SECONDS),
            memory_size=config.express_memory_mb,
            ephemeral_storage_size=SCRATCH,
        )
        cfn = cast("lambda_.CfnFunction", self.function.node.default_child)
        cfn.add_property_override("Code.ImageUri", image_uri)
        vpc = config.placement.vpc_config
        if vpc:
            cfn.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
                subnet_ids=vpc["Subnets"], security_group_ids=vpc["SecurityGroupIds"]
            )
        for rule, because in (ACKNOWLEDGED | ({} if vpc else WITHOUT_VPC)).items():
            if rule != "AwsSolutions-L1":  # an image has no runtime of Lambda's
                acknowledge(self.function, rule, because=because)
        # By the L1: the L2's destination grants more than sending.
        failed = lambda_.CfnEventInvokeConfig.OnFailureProperty(destination=job_events.queue.queue_arn)
        sending = lambda_.CfnEventInvokeConfig(
            self,
            "Once",
            function_name=self.function.function_name,
            qualifier="$LATEST",
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=START_SECONDS,
            destination_config=lambda_.CfnEventInvokeConfig.DestinationConfigProperty(on_failure=failed),
        )
        sending.node.add_dependency(role)
        storage.grant_run_express(self.function)
        job_events.grant_send(self.function)

    def grant_invoke(self, grantee: iam.IGrantable) -> None:
        """Let the grantee invoke the function."""
        allow(grantee, "lambda:InvokeFunction", on=[self.function.function_arn])
