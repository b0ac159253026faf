"""The stack: makes the constructs, connects them, and grants each function what it needs."""

from __future__ import annotations

import json

from aws_cdk import CfnOutput, Fn, Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from functions.names import IndexName
from functions.settings import to_environment, values_of
from infra import layer
from infra.account_rules import obey
from infra.audit_trail import AuditTrail
from infra.config import StageConfig
from infra.delivery import Delivery
from infra.function import FunctionDefaults
from infra.ingest import Ingest
from infra.job_hosts import job_hosts
from infra.key_watch import KeyWatch
from infra.model_hosting import ModelHosting
from infra.monitoring import Monitoring
from infra.notices import Notices
from infra.outputs import DESCRIPTIONS
from infra.people import People
from infra.storage import Storage
from infra.training import Training
from infra.transform import Transform
from infra.webhook import Webhook


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
        self.hosting = ModelHosting(self, "Model", config=config)
        self.transform = Transform(
            self,
            "Batch",
            config=config,
            storage=self.storage,
            image_uri=self.hosting.image_uri,
            defaults=defaults,
        )
        self.ingest = Ingest(
            self, "Intake", config=config, storage=self.storage, tick=self.transform.tick.queue, defaults=defaults
        )
        self.delivery = (
            Delivery(self, "Delivery", config=config, storage=self.storage, defaults=defaults)
            if config.dicom_results
            else None
        )
        self.sweep = self.transform.add_sweep(
            config=config, storage=self.storage, defaults=defaults, uploads=self.ingest.queue
        )
        self.notices = Notices(self, "Notices", key=self.storage.key, email=config.alarm_email)
        self.training = Training(
            self,
            "Training",
            config=config,
            storage=self.storage,
            hosting=self.hosting,
            patient_key=self.ingest.patient_key,
            tick=self.transform.tick.queue,
            notices=self.notices,
            defaults=defaults,
        )
        self.webhook = Webhook(self, "Webhook", config=config, key=self.storage.key) if config.webhook_url else None
        self._grant_ingest(hides_keys=config.keys == "hashed")
        self._grant_dispatch()
        self._grant_collect()
        self._grant_sweep(hides_keys=config.keys == "hashed")
        self._grant_retraining()
        self._grant_promotion()
        self.storage.grant_job_data(self.hosting.job_role)
        self.storage.grant_training_data(self.training.job_role)
        self.storage.grant_endpoint_data(self.hosting.endpoint_role)
        queues = {
            "Uploads": self.ingest.queue,
            "Tick": self.transform.tick,
            "JobEvents": self.transform.job_events,
            "Approvals": self.training.approvals,
        }
        functions: dict[str, lambda_.Function] = {
            "Ingest": self.ingest.function,
            "Dispatch": self.transform.dispatch,
            "Collect": self.transform.collect,
            "Sweep": self.sweep,
            "Snapshot": self.training.snapshot,
            "Gate": self.training.gate,
            "Promote": self.training.promote,
            "Approve": self.training.approve,
        }
        for follower in (self.transform.dispatch, self.transform.collect, self.sweep):
            # Whatever the stage has: a batch of the lane may be left from before `express` was turned off.
            self.storage.grant_follow_runs(follower)
        if self.transform.express:
            functions["Express"] = self.transform.express.function
        if self.delivery:
            self.transform.grant_announce(self.delivery.deliver)
            queues["Revisions"] = self.delivery.revisions
            functions["Deliver"] = self.delivery.deliver
        self.monitoring = Monitoring(
            self,
            "Monitoring",
            config=config,
            topic=self.notices,
            workflow=self.training.workflow.state_machine,
            functions=functions,
            queues=queues,
            undelivered=self.webhook.dead_letters if self.webhook else None,
        )
        keys = [self.storage.key, self.ingest.patient_key]
        if config.audit_trail:
            keys.append(self._keep_audit_trail(config).key)
        self.key_watch = KeyWatch(self, "KeyWatch", keys=keys, email=config.alarm_email)
        self.people = People(
            self,
            "People",
            service=config.service_name,
            storage=self.storage,
            hosting=self.hosting,
            training=self.training,
            tick=self.transform.tick,
            dead_letters=[queue.dead_letters.queue_arn for queue in queues.values()],
            undelivered=self.webhook.dead_letters.queue_arn if self.webhook else "",
            functions=[one.function_arn for one in functions.values()],
            topics=[self.notices.topic_arn, self.key_watch.topic.topic_arn],
            hides_keys=config.keys == "hashed",
        )
        outputs = {
            "UploadsBucketName": self.storage.uploads.bucket_name,
            "UploadsQueueUrl": self.ingest.queue.queue.queue_url,
            "WorkBucketName": self.storage.work.bucket_name,
            "ResultsBucketName": self.storage.results.bucket_name,
            "ModelsBucketName": self.storage.models.bucket_name,
            "TrainingBucketName": self.storage.training.bucket_name,
            "IndexTableName": self.storage.index.table_name,
            "BatchesTableName": self.storage.batches.table_name,
            "StudiesTableName": self.storage.studies.table_name,
            "KeysTableName": self.storage.keys.table_name,
            "Keys": config.keys,
            "TickQueueUrl": self.transform.tick.queue.queue_url,
            "DeadLetterQueueUrls": Fn.join(",", [queue.dead_letters.queue_url for queue in queues.values()]),
            "ModelPackageGroupName": self.hosting.package_group.model_package_group_name,
            "TrainingStateMachineArn": self.training.workflow.state_machine.state_machine_arn,
            "JobRoleArn": self.hosting.job_role.role_arn,
            "EndpointRoleArn": self.hosting.endpoint_role.role_arn,
            "Labels": ",".join(config.labels),
            "Folds": str(config.folds),
            "JobNamePrefix": config.service_name,
            "ImageUri": self.hosting.image_uri,
            "InstanceType": config.instance_type,
            "Slots": str(config.slots),
            "MaxJobsPerDay": str(config.max_jobs_per_day),
            "Closers": str(config.closers),
            # So that a sender knows beforehand what will be refused.
            "Served": json.dumps(to_environment(config.served)),
            "Thresholds": json.dumps(to_environment(config.thresholds)),
            "JobHosts": json.dumps(job_hosts(config)),
            "PatientKeyId": self.ingest.patient_key.key_id,
            "DataKeyArn": self.storage.key.key_arn,
            "AlarmTopicArn": self.notices.topic_arn,
            "KeyTopicArn": self.key_watch.topic.topic_arn,
            "DashboardName": self.monitoring.dashboard.dashboard_name,
            "UploaderPolicyArn": self.people.uploader.managed_policy_arn,
            "ReaderPolicyArn": self.people.reader.managed_policy_arn,
            "LabellerPolicyArn": self.people.labeller.managed_policy_arn,
            "ApproverPolicyArn": self.people.approver.managed_policy_arn,
            "ExaminerPolicyArn": self.people.examiner.managed_policy_arn,
            "FunctionPackages": layer.versions(),
        }
        if any(values_of(config.placement).values()):
            outputs["Placement"] = json.dumps(to_environment(config.placement))
        if config.express:
            outputs["ExpressPerDay"] = str(config.express_per_day)
            outputs["ExpressConcurrency"] = str(config.express_concurrency)
        if self.webhook:
            outputs["WebhookDeadLettersUrl"] = self.webhook.dead_letters.queue_url
        if config.uploads_key_arn:
            outputs["UploadsKeyArn"] = config.uploads_key_arn
        for name, value in outputs.items():
            CfnOutput(self, name, value=value, description=DESCRIPTIONS[name])
        obey(self, config)

    def _keep_audit_trail(self, config: StageConfig) -> AuditTrail:
        storage = self.storage
        return AuditTrail(
            self,
            "AuditTrail",
            config=config,
            buckets=[storage.uploads, storage.work, storage.results, storage.models, storage.training],
            tables=[storage.index, storage.batches, storage.studies, storage.keys],
            access_logs=storage.access_logs,
        )

    def _grant_ingest(self, *, hides_keys: bool) -> None:
        ingest = self.ingest.function
        self.storage.grant_read_uploads(ingest)
        self.storage.grant_pin_copies(ingest)
        self.storage.grant_delete_copies(ingest)
        self.storage.grant_add_rows(ingest)
        self.storage.grant_add_members(ingest)
        if hides_keys:
            self.storage.grant_hide_keys(ingest)
        self.ingest.patient_key.grant_generate_mac(ingest)
        self.transform.tick.grant_send(ingest)

    def _grant_dispatch(self) -> None:
        dispatch = self.transform.dispatch
        self.storage.grant_advance_rows(dispatch)
        self.storage.grant_find_rows(dispatch, IndexName.BY_STATUS)
        self.storage.grant_advance_batches(dispatch)
        self.storage.grant_write_manifests(dispatch)
        self.storage.grant_artifacts(dispatch)
        self.transform.grant_start_jobs(dispatch)

    def _grant_collect(self) -> None:
        collect = self.transform.collect
        self.storage.grant_advance_rows(collect)
        self.storage.grant_finish_batches(collect)
        self.storage.grant_read_outputs(collect)
        self.storage.grant_delete_copies(collect)
        self.storage.grant_delete_outputs(collect)
        self.storage.grant_keep_predictions(collect)
        self.storage.grant_open_studies(collect)
        self.transform.grant_describe_jobs(collect)
        self.transform.tick.grant_send(collect)

    def _grant_sweep(self, *, hides_keys: bool) -> None:
        sweep = self.sweep
        self.storage.grant_advance_rows(sweep)
        self.storage.grant_find_rows(sweep, IndexName.BY_STATUS, IndexName.BY_MODEL)
        self.storage.grant_advance_batches(sweep)
        self.storage.grant_write_manifests(sweep)
        self.storage.grant_artifacts(sweep)
        self.storage.grant_read_outputs(sweep)
        self.storage.grant_delete_copies(sweep)
        self.storage.grant_delete_outputs(sweep)
        self.storage.grant_keep_predictions(sweep)
        self.transform.grant_start_jobs(sweep)
        self.storage.grant_close_studies(sweep)
        self.storage.grant_read_again(sweep, hides_keys=hides_keys)
        self.ingest.queue.grant_measure(sweep)
        self.transform.grant_announce(sweep)
        self.transform.grant_stop_jobs(sweep)
        self.transform.tick.grant_send(sweep)

    def _grant_retraining(self) -> None:
        snapshot, gate = self.training.snapshot, self.training.gate
        self.storage.grant_freeze_cohorts(snapshot)
        self.storage.grant_read_champion(snapshot)
        self.ingest.patient_key.grant_generate_mac(snapshot)
        self.storage.grant_read_holdout(snapshot)
        self.storage.grant_artifacts(snapshot)
        self.hosting.grant_describe_versions(snapshot)
        self.storage.grant_judge_runs(gate)
        self.storage.grant_count_attempts(gate)
        self.storage.grant_read_holdout(gate)

    def _grant_promotion(self) -> None:
        promote, approve = self.training.promote, self.training.approve
        self.storage.grant_read_runs(promote)
        self.storage.grant_keep_artifacts(promote)
        self.hosting.grant_register(promote)
        self.hosting.grant_pull(promote)  # SageMaker looks up the image's digest with the caller's permissions
        for promoter in (promote, approve):
            self.storage.grant_artifacts(promoter)
            self.storage.grant_move_champion(promoter)
            self.hosting.grant_promote(promoter)
            self.transform.tick.grant_send(promoter)
