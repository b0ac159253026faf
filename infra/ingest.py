"""Route every new object of the uploads bucket to the function ``ingest``.

**What a batch of the worst objects takes.** Lambda gives CPU in proportion to memory, one vCPU with VCPU_MEMORY. The
most expensive header known makes ingest read twice, 8 MiB in all, and walk the maximum number of elements each time:
WORST_CPU_SECONDS of one core of the machine that it was measured on. A batch of them, on the function's share, takes

    BATCH_SIZE * WORST_CPU_SECONDS / (MEMORY / VCPU_MEMORY)  =  10 * 0.3 s / 0.58  =  5.2 s  of TIMEOUT's 20 s,

which leaves more than twice that for a slower core. The object that needs most memory is a deflated one: 8 MiB read,
8 MiB inflated. WORKERS of them at once, on top of the function's memory at its start, take

    START_MIB + WORKERS * WORST_MIB  =  130 + 10 * 20  =  330 MiB  of MEMORY's 1,024.

An invocation costs memory times time. More CPU ends it sooner, so 1,024 MB for ten uploads cost no more than 512 MB
for fifty (`benchmarks.control_plane`).

**When an upload has a row.** A batch without an answer, because the function was killed, comes again after
VISIBILITY_FACTOR * TIMEOUT = 120 s, each message alone. After MOST_TRIES tries that were cut off the next one refuses
the object unread: (1 + MOST_TRIES) * 120 s + 20 s = 500 s after the first try, which is within ROW_WITHIN. AWS's own
trouble is not counted: the message is tried every 120 s, RETRIES times, and then becomes a dead letter; its row is
HeldUp. A row that nothing tries for ten minutes is ended as HeldUp by the sweep (`functions.flow.stalling`).

tests/infra/test_ingest.py checks this against the template; `assurance.fuzz.worst` measures what one
object takes.
"""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from functions.settings import IngestSettings
from infra.config import StageConfig
from infra.function import Function, FunctionDefaults
from infra.kept import removal_policy
from infra.queues import ReliableQueue
from infra.storage import Storage

VCPU_MEMORY = 1769  # MB that come with one vCPU
WORST_CPU_SECONDS = 0.3  # for the most expensive header; measured 2026-11-28: 0.21 s, and the bodies of two reads
WORST_MIB = 20  # for one object; measured 2026-11-28: 17 MiB
START_MIB = 130  # of the function before its first object; measured 2026-11-28: 119 MiB
BATCH_SIZE = 10
MAX_CONCURRENCY = 4  # of each of the two queues; new accounts have 10 for all functions
MEMORY = 1024
TIMEOUT = Duration.seconds(20)
ROW_WITHIN = Duration.minutes(10)
RETRIES = 50  # 100 minutes of AWS's trouble


class Ingest(Construct):
    """ "Object Created" -> rule -> ``queue`` -> ``function``; and ``patient_key``, which hashes patients."""

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
            description="wetread: makes the keyed hash that identifies a patient in the index",
            key_spec=kms.KeySpec.HMAC_256,
            key_usage=kms.KeyUsage.GENERATE_VERIFY_MAC,
            removal_policy=removal_policy(config),
        )
        self.function = Function(
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
                served=config.served,
                results_kept_days=config.results_kept_days,
                hidden_keys_table=storage.keys.table_name if config.keys == "hashed" else "",
                data_key_arn=storage.key.key_arn,
                studies_table=storage.studies.table_name,
                study_quiet_seconds=config.patience.study_quiet_seconds,
            ),
            defaults=defaults,
            timeout=TIMEOUT,
            memory_size=MEMORY,
        )
        self.queue = ReliableQueue(
            self,
            "Uploads",
            key=storage.key,
            consumer_timeout=TIMEOUT,
            removal=removal_policy(config),
            retry_alone=RETRIES,
        )
        # Bounded, so that a burst leaves concurrency for the functions that start jobs, even in a new account.
        self.queue.feed(
            self.function, batch_size=BATCH_SIZE, window=Duration.seconds(1), max_concurrency=MAX_CONCURRENCY
        )
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
        self.queue.receive_events_of(created)
