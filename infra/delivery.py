"""From closed revisions of studies to DICOM results: a queue and ``deliver``. Only a stage that asks has them."""

from __future__ import annotations

from importlib import metadata

from aws_cdk import Duration
from aws_cdk import aws_events as events
from constructs import Construct

from functions.names import EVENT_SOURCE, REVISION_EVENTS
from functions.settings import DeliverSettings
from infra.config import StageConfig
from infra.dicom_layer import DicomLayer
from infra.function import RUNTIME, Function, FunctionDefaults
from infra.kept import removal_policy
from infra.queues import ReliableQueue
from infra.storage import Storage

TIMEOUT = Duration.minutes(5)  # a study of 20,000 slices; most take a few seconds
MEMORY_MB = 1024
AT_ONCE = 2  # the least that SQS can bound it to; a message is one revision


class Delivery(Construct):
    """The rule and the queue ``revisions`` for what the sweep announces, and the function ``deliver``."""

    def __init__(
        self, scope: Construct, id_: str, *, config: StageConfig, storage: Storage, defaults: FunctionDefaults
    ) -> None:
        super().__init__(scope, id_)
        self.revisions = ReliableQueue(
            self, "Revisions", key=storage.key, consumer_timeout=TIMEOUT, removal=removal_policy(config)
        )
        self.revisions.receive_events_of(
            events.Rule(
                self,
                "Announced",
                description="Every revision of a study's read",
                event_pattern=events.EventPattern(
                    source=[EVENT_SOURCE],
                    detail_type=[one.value for one in REVISION_EVENTS],  # not what the function announces itself
                    detail={"Service": [config.service_name]},
                ),
            )
        )
        self.deliver = Function(
            self,
            "Deliver",
            module="deliver",
            settings=DeliverSettings(
                index_table=storage.index.table_name,
                batches_table=storage.batches.table_name,
                studies_table=storage.studies.table_name,
                results_bucket=storage.results.bucket_name,
                uploads_bucket=storage.uploads.bucket_name,
                results_kept_days=config.results_kept_days,
                hidden_keys_table=storage.keys.table_name if config.keys == "hashed" else "",
                data_key_arn=storage.key.key_arn,
                service_name=config.service_name,
                software=metadata.version("wetread"),
                dicom_results=config.dicom_results,
                dicom_manufacturer=config.dicom_manufacturer,
                series_number_base=config.series_number_base,
                label_codes=tuple(f"{label}={code}" for label, code in config.label_codes.items()),
            ),
            defaults=defaults,
            timeout=TIMEOUT,
            memory_size=MEMORY_MB,
            layers=[DicomLayer(self, "Highdicom", runtime=RUNTIME)],
        )
        self.revisions.feed(self.deliver, batch_size=1, max_concurrency=AT_ONCE)
        storage.grant_deliver(self.deliver, hides_keys=config.keys == "hashed", draws="heat" in config.dicom_results)
        storage.grant_read_champion(self.deliver)
