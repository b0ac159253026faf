"""The stack: makes the constructs, hands them to one another, and says who may do what, one sentence each."""

from __future__ import annotations

from aws_cdk import CfnOutput, Fn, Stack
from constructs import Construct

from infra.batch import Batch
from infra.config import StageConfig
from infra.function import FunctionDefaults
from infra.intake import Intake
from infra.model import Model
from infra.monitoring import Monitoring
from infra.storage import BATCHES, INSTANCES, OUTPUTS, PREDICTIONS, Storage


class Service(Stack):
    """One deployment of wetread."""

    def __init__(self, scope: Construct, id_: str, *, config: StageConfig) -> None:
        super().__init__(
            scope,
            id_,
            description="wetread: an AI read of every DICOM object dropped into a bucket",
            termination_protection=config.protect_data,
        )
        self.storage = Storage(self, "Storage", config=config)
        defaults = FunctionDefaults(self, "Functions", config=config, log_key=self.storage.key)
        self.model = Model(self, "Model", config=config)
        self.batch = Batch(self, "Batch", config=config, storage=self.storage, defaults=defaults)
        self.intake = Intake(
            self, "Intake", config=config, storage=self.storage, tick=self.batch.tick.queue, defaults=defaults
        )
        self._grant_ingest()
        self._grant_dispatch()
        self._grant_collect()
        self._grant_sweep()
        self.storage.grant_job_data(self.model.job_role)
        queues = {"Uploads": self.intake.queue, "Tick": self.batch.tick, "JobEvents": self.batch.job_events}
        self.monitoring = Monitoring(
            self,
            "Monitoring",
            config=config,
            key=self.storage.key,
            functions={
                "Ingest": self.intake.ingest,
                "Dispatch": self.batch.dispatch,
                "Collect": self.batch.collect,
                "Sweep": self.batch.sweep,
            },
            queues=queues,
        )
        outputs = {
            "UploadsBucketName": self.storage.uploads.bucket_name,
            "WorkBucketName": self.storage.work.bucket_name,
            "ResultsBucketName": self.storage.results.bucket_name,
            "ModelsBucketName": self.storage.models.bucket_name,
            "IndexTableName": self.storage.index.table_name,
            "BatchesTableName": self.storage.batches.table_name,
            "TickQueueUrl": self.batch.tick.queue.queue_url,
            "DeadLetterQueueUrls": Fn.join(",", [queue.dead_letters.queue_url for queue in queues.values()]),
            "ModelPackageGroupName": self.model.package_group.model_package_group_name,
            "JobRoleArn": self.model.job_role.role_arn,
            "JobNamePrefix": config.service_name,
            "ImageUri": self.model.image_uri,
            "InstanceType": config.instance_type,
            "Slots": str(config.slots),
            "PatientKeyId": self.intake.patient_key.key_id,
            "DataKeyArn": self.storage.key.key_arn,
            "AlarmTopicArn": self.monitoring.topic.topic_arn,
            "DashboardName": self.monitoring.dashboard.dashboard_name,
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)

    def _grant_ingest(self) -> None:
        ingest = self.intake.ingest
        self.storage.uploads.grant_read(ingest)
        self.storage.work.grant_put(ingest, f"{INSTANCES}*")
        self.storage.grant_add_rows(ingest)
        self.intake.patient_key.grant_generate_mac(ingest)
        self.batch.tick.queue.grant_send_messages(ingest)

    def _grant_dispatch(self) -> None:
        dispatch = self.batch.dispatch
        self.storage.grant_advance_rows(dispatch)
        self.storage.grant_advance_batches(dispatch)
        self.storage.work.grant_read(dispatch, f"{BATCHES}*")
        self.storage.work.grant_put(dispatch, f"{BATCHES}*")
        self.batch.grant_start_jobs(dispatch)

    def _grant_collect(self) -> None:
        collect = self.batch.collect
        self.storage.grant_advance_rows(collect)
        self.storage.grant_finish_batches(collect)
        self.storage.work.grant_read(collect, f"{BATCHES}*")
        self.storage.work.grant_read(collect, f"{OUTPUTS}*")
        self.storage.grant_delete_copies(collect)
        self.storage.results.grant_read(collect, f"{PREDICTIONS}*")
        self.storage.results.grant_put(collect, f"{PREDICTIONS}*")
        self.batch.grant_describe_jobs(collect)
        self.batch.tick.queue.grant_send_messages(collect)

    def _grant_sweep(self) -> None:
        sweep = self.batch.sweep
        self.storage.grant_advance_rows(sweep)
        self.storage.grant_advance_batches(sweep)
        self.storage.work.grant_read(sweep, f"{BATCHES}*")
        self.storage.work.grant_put(sweep, f"{BATCHES}*")
        self.storage.work.grant_read(sweep, f"{OUTPUTS}*")
        self.storage.grant_delete_copies(sweep)
        self.storage.results.grant_read(sweep, f"{PREDICTIONS}*")
        self.storage.results.grant_put(sweep, f"{PREDICTIONS}*")
        self.batch.grant_start_jobs(sweep)
        self.batch.grant_stop_jobs(sweep)
        self.batch.tick.queue.grant_send_messages(sweep)
