"""The state machine of a retraining: its definition, its role, its log."""

from __future__ import annotations

from typing import cast

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from functions.names import CHECKPOINTS, RUNS
from infra.config import StageConfig
from infra.function import Function
from infra.grants import WRITE, allow_key, allow_volumes
from infra.job_requests import JobRequests
from infra.kept import log_retention, removal_policy
from infra.notices import Notices
from infra.storage import Storage
from infra.workflow_role import WorkflowRole
from infra.workflow_states import States

WAITS = Duration.days(1)  # waits for quotas, throttled calls and functions
PROCESSING_JOBS = 3
DATA_KEY_REUSED = Duration.minutes(5)


class Workflow(Construct):
    """``state_machine``: a Standard workflow; its input is what ``functions.snapshot`` documents."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: StageConfig,
        storage: Storage,
        image_uri: str,
        job_role: iam.IRole,
        snapshot: Function,
        gate: Function,
        promote: Function,
        notices: Notices,
    ) -> None:
        super().__init__(scope, id_)
        self.role = WorkflowRole(
            self, "Role", job_prefix=config.service_name, job_role=job_role, functions=[snapshot, gate, promote]
        )
        notices.grant_publish_notices(self.role)
        # SageMaker's guide asks for it in the policy of the caller or of the job's role, and does not say whose it uses
        # under the condition that the grant is for a resource of AWS.
        allow_volumes(self.role, storage.key)
        states = States(
            self,
            "States",
            requests=JobRequests(
                config=config,
                image_uri=image_uri,
                job_role=job_role,
                key=storage.key,
                folder=storage.training.s3_url_for_object(RUNS),
                checkpoints=storage.training.s3_url_for_object(CHECKPOINTS),
            ),
            snapshot=snapshot,
            gate=gate,
            promote=promote,
            notices=notices,
        )
        log = logs.LogGroup(
            self,
            "Log",
            encryption_key=storage.key,
            retention=log_retention(config),
            removal_policy=removal_policy(config),
        )
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=f"{config.service_name}-training",
            comment="wetread: from labelled slices to a champion, or to the reasons why not",
            definition_body=sfn.DefinitionBody.from_chainable(states.start),
            query_language=sfn.QueryLanguage.JSONATA,
            role=self.role.without_policy_updates(),
            # Inputs and outputs have keys that people chose, and reasons: they stay in the encrypted history.
            logs=sfn.LogOptions(destination=log, level=sfn.LogLevel.ALL, include_execution_data=False),
            tracing_enabled=True,
            timeout=longest_run(config),
        )
        self._encrypt(storage.key)

    def _encrypt(self, key: kms.IKey) -> None:
        """Encrypt the definition and the history of executions with ``key``."""
        # With the L1: the L2's setting lets the log delivery of any account use the key.
        cfn = cast("sfn.CfnStateMachine", self.state_machine.node.default_child)
        cfn.encryption_configuration = sfn.CfnStateMachine.EncryptionConfigurationProperty(
            type="CUSTOMER_MANAGED_KMS_KEY",
            kms_key_id=key.key_arn,
            kms_data_key_reuse_period_seconds=DATA_KEY_REUSED.to_seconds(),
        )
        allow_key(self.role, key, WRITE)
        own_logs = Stack.of(self).format_arn(service="logs", resource="*", arn_format=ArnFormat.NO_RESOURCE_NAME)
        log_delivery = iam.ServicePrincipal(
            "delivery.logs.amazonaws.com",
            conditions={"StringEquals": {"kms:EncryptionContext:SourceArn": own_logs}},
        )
        key.grant(log_delivery, "kms:Decrypt")
        cfn.node.add_dependency(self.role)  # and its policy, which without_policy_updates hides


def longest_run(config: StageConfig) -> Duration:
    """Return a time that no run exceeds, since SageMaker ends jobs at their own limits."""
    training = config.training_max_wait_seconds if config.training_spot else config.training_max_seconds
    return Duration.seconds(training + PROCESSING_JOBS * config.processing_max_seconds).plus(WAITS)
