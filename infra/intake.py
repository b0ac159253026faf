"""The way in: every object that lands in the uploads bucket reaches the function ``ingest``."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from functions.settings import IngestSettings
from infra.config import StageConfig
from infra.function import Function, FunctionDefaults
from infra.queues import ReliableQueue
from infra.storage import Storage


class Intake(Construct):
    """ "Object Created" -> rule -> queue -> ``ingest``; and ``patient_key``, which turns a patient into a hash."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: StageConfig,
        storage: Storage,
        tick: sqs.IQueue,
        defaults: FunctionDefaults,
    ) -> None:
        super().__init__(scope, id_)
        self.patient_key = kms.Key(
            self,
            "PatientKey",
            description="wetread: makes the keyed hash that stands for a patient in the index",
            key_spec=kms.KeySpec.HMAC_256,
            key_usage=kms.KeyUsage.GENERATE_VERIFY_MAC,
            removal_policy=RemovalPolicy.RETAIN if config.protect_data else RemovalPolicy.DESTROY,
        )
        timeout = Duration.minutes(1)
        self.ingest = Function(
            self,
            "Ingest",
            module="ingest",
            settings=IngestSettings(
                index_table=storage.index.table_name,
                uploads_bucket=storage.uploads.bucket_name,
                work_bucket=storage.work.bucket_name,
                tick_queue_url=tick.queue_url,
                tick_window_seconds=config.tick_window_seconds,
                patient_key_id=self.patient_key.key_id,
                sop_class_uids=config.sop_class_uids,
                modalities=config.modalities,
                transfer_syntax_uids=config.transfer_syntax_uids,
                max_object_bytes=config.max_object_bytes,
                conformance=config.conformance,
                results_kept_days=config.results_kept_days,
                hidden_keys_table=storage.keys.table_name if config.keys == "hashed" else "",
            ),
            defaults=defaults,
            timeout=timeout,
            memory_size=512,
        )
        self.queue = ReliableQueue(self, "Uploads", key=storage.key, consumer_timeout=timeout)
        # A bound, so that a burst of uploads leaves room in the account for the functions that make jobs of them.
        self.queue.feed(self.ingest, batch_size=50, window=Duration.seconds(1), max_concurrency=20)
        created = events.Rule(
            self,
            "ObjectCreated",
            description="Every new object version of the uploads bucket",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={"bucket": {"name": [storage.uploads.bucket_name]}},
            ),
        )
        self.queue.hear(created)
