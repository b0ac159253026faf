"""Retraining: the functions, the role and the state machine that train a candidate and may promote it."""

from __future__ import annotations

from aws_cdk import Duration, Size
from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from functions.settings import ApproveSettings, GateSettings, PromoteSettings, SnapshotSettings
from infra.config import StageConfig
from infra.function import Function, FunctionDefaults
from infra.job_role import JobRole
from infra.kept import removal_policy
from infra.model_hosting import ModelHosting
from infra.notices import Notices
from infra.queues import ReliableQueue
from infra.storage import Storage
from infra.workflow import Workflow

LOG_GROUPS = ("/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs")
APPROVE_TIMEOUT = Duration.minutes(1)


class Training(Construct):
    """``snapshot``, ``gate``, ``promote`` and the ``workflow`` that calls them; ``approve``, which handles approvals.

    ``job_role`` is the role of the training and processing jobs.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: StageConfig,
        storage: Storage,
        hosting: ModelHosting,
        patient_key: kms.IKey,
        tick: sqs.IQueue,
        notices: Notices,
        defaults: FunctionDefaults,
    ) -> None:
        super().__init__(scope, id_)
        self.job_role = JobRole(
            self,
            "JobRole",
            config=config,
            description="SageMaker moves the data of wetread's training and processing jobs with this role",
            log_groups=LOG_GROUPS,
        )
        hosting.grant_pull(self.job_role)
        # Fifteen minutes is Lambda's maximum; a cohort of 10,000 slices takes far less.
        self.snapshot = Function(
            self,
            "Snapshot",
            module="snapshot",
            settings=_snapshot_settings(config, storage, patient_key),
            defaults=defaults,
            timeout=Duration.minutes(15),
            memory_size=2048,
        )
        self.gate = Function(
            self,
            "Gate",
            module="gate",
            settings=_gate_settings(config, storage),
            defaults=defaults,
            timeout=Duration.minutes(1),
            memory_size=512,
        )
        approve = _approve_settings(config, storage, hosting, tick)
        self.promote = Function(
            self,
            "Promote",
            module="promote",
            settings=PromoteSettings(
                **vars(approve), training_bucket=storage.training.bucket_name, approval=config.approval
            ),
            defaults=defaults,
            timeout=Duration.minutes(10),
            memory_size=2048,
            scratch_size=Size.gibibytes(4),  # the artifact, which may weigh a few hundred MB
        )
        self.approve = Function(
            self,
            "Approve",
            module="approve",
            settings=approve,
            defaults=defaults,
            timeout=APPROVE_TIMEOUT,
            memory_size=512,
        )
        self.approvals = ReliableQueue(
            self, "Approvals", key=storage.key, consumer_timeout=APPROVE_TIMEOUT, removal=removal_policy(config)
        )
        self.approvals.feed(self.approve, batch_size=1)
        self._route_approvals(config.service_name)
        self.workflow = Workflow(
            self,
            "Workflow",
            config=config,
            storage=storage,
            image_uri=hosting.image_uri,
            job_role=self.job_role,
            snapshot=self.snapshot,
            gate=self.gate,
            promote=self.promote,
            notices=notices,
        )

    def _route_approvals(self, group: str) -> None:
        approved = events.Rule(
            self,
            "Approved",
            description="Every approval of a version of the service's model package group",
            event_pattern=events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Model Package State Change"],
                detail={"ModelPackageGroupName": [group], "ModelApprovalStatus": ["Approved"]},
            ),
        )
        self.approvals.receive_events_of(approved)


def _snapshot_settings(config: StageConfig, storage: Storage, patient_key: kms.IKey) -> SnapshotSettings:
    return SnapshotSettings(
        training_bucket=storage.training.bucket_name,
        models_bucket=storage.models.bucket_name,
        batches_table=storage.batches.table_name,
        patient_key_id=patient_key.key_id,
        labels=config.labels,
        folds=config.folds,
        served=config.served,
        data_key_arn=storage.key.key_arn,
    )


def _gate_settings(config: StageConfig, storage: Storage) -> GateSettings:
    return GateSettings(
        training_bucket=storage.training.bucket_name,
        batches_table=storage.batches.table_name,
        thresholds=config.thresholds,
        acquisition=config.acquisition,
    )


def _approve_settings(
    config: StageConfig, storage: Storage, hosting: ModelHosting, tick: sqs.IQueue
) -> ApproveSettings:
    return ApproveSettings(
        models_bucket=storage.models.bucket_name,
        batches_table=storage.batches.table_name,
        tick_queue_url=tick.queue_url,
        tick_window_seconds=config.tick_window_seconds,
        model_package_group=config.service_name,
        image_uri=hosting.image_uri,
        job_role_arn=hosting.job_role.role_arn,
        placement=config.placement,
    )
