"""Builds the parts that several functions share from their settings and boto3 clients."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from functions.aws.announcements import Announcements
from functions.aws.artifacts import Artifacts
from functions.aws.backlog import Backlog
from functions.aws.batches import Batches
from functions.aws.caller import caller_arn
from functions.aws.champion import Champions
from functions.aws.closers import Closers
from functions.aws.express import Runs
from functions.aws.index import Index
from functions.aws.jobs import Jobs
from functions.aws.keys import HiddenKeys
from functions.aws.models import Models
from functions.aws.objects import Documents, Uploads
from functions.aws.registry import Registry
from functions.aws.studies import Studies
from functions.aws.ticks import Ticks
from functions.domain import study_document
from functions.domain.batch import DECODERS, Limits
from functions.flow.announcing import Announcing
from functions.flow.collecting import Collecting
from functions.flow.concluding import Concluding
from functions.flow.dispatching import Dispatching
from functions.flow.marking import Marking
from functions.flow.rescoring import Rescoring
from functions.flow.settling import Settling
from functions.flow.sharing import Sharing
from functions.flow.trying import Trying
from functions.settings import ApproveSettings, CollectSettings, DispatchSettings, IngestSettings, SweepSettings

POOL = 32  # connections: more than any function's threads
CONNECT_SECONDS = 10
METRICS_SECONDS = 5
EVENTS_SECONDS = 5
INVOKE_SECONDS = 5
COLLECT_SECONDS = 20  # collect reads and writes no document of more than a MiB


def client(service: Any, answers_within: int = 60, retries: int = 5) -> Any:
    """Return a boto3 client that retries throttling and transport errors and shares connections among threads.

    ``answers_within`` is in seconds. All tries must end before the function's timeout: an error shows that AWS was the
    cause, a function that is cut off does not.
    """
    config = Config(
        retries={"mode": "standard", "max_attempts": retries},
        max_pool_connections=POOL,
        connect_timeout=min(answers_within, CONNECT_SECONDS),
        read_timeout=answers_within,
    )
    return boto3.client(service, config=config)


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def registry(settings: ApproveSettings) -> Registry:
    """Return the model registry of a function that promotes."""
    return Registry(
        s3=client("s3"),
        sagemaker=client("sagemaker"),
        champions=Champions(client("dynamodb"), settings.batches_table),
        ticks=ticks(settings),
        models_bucket=settings.models_bucket,
        group=settings.model_package_group,
        image_uri=settings.image_uri,
        job_role_arn=settings.job_role_arn,
        placement=settings.placement,
        clock=now,
        caller=lambda: caller_arn(client("sts")),
    )


def ticks(settings: IngestSettings | CollectSettings | ApproveSettings) -> Ticks:
    """Return the tick queue of a function that sends ticks."""
    return Ticks(client("sqs"), settings.tick_queue_url, settings.tick_window_seconds)


def dispatching(settings: DispatchSettings) -> Dispatching:
    """Return the parts of ``functions.dispatch``."""
    dynamodb, s3, sagemaker = client("dynamodb"), client("s3"), client("sagemaker")
    artifacts = Artifacts(s3, settings.models_bucket)
    work = Documents(s3, settings.work_bucket)
    return Dispatching(
        index=Index(dynamodb, settings.index_table),
        batches=Batches(dynamodb, settings.batches_table, settings.index_table),
        champions=Champions(dynamodb, settings.batches_table),
        artifacts=artifacts,
        models=Models(sagemaker, artifacts),
        work=work,
        jobs=Jobs(sagemaker, settings.work_bucket),
        runs=Runs(client=client("lambda"), work=work, function=settings.express_function, clock=now),
        shape=settings.shape,
        express=settings.express,
        limits=Limits(
            slots=settings.slots,
            max_batch=settings.max_batch,
            parallel_threshold=settings.parallel_threshold,
            max_wait_seconds=settings.max_wait_seconds,
            worst_seconds=settings.max_work_seconds * DECODERS * settings.shape.instance_count,
        ),
        max_jobs_per_day=settings.max_jobs_per_day,
        job_name_prefix=settings.job_name_prefix,
        clock=now,
    )


def collecting(settings: CollectSettings) -> Collecting:
    """Return the parts of ``functions.collect``."""
    dynamodb, s3 = client("dynamodb", COLLECT_SECONDS), client("s3", COLLECT_SECONDS)
    index = Index(dynamodb, settings.index_table)
    batches = Batches(dynamodb, settings.batches_table, settings.index_table)
    studies = Studies(dynamodb, settings.studies_table, settings.results_kept_days)
    work = Documents(s3, settings.work_bucket)
    return Collecting(
        index=index,
        batches=batches,
        work=work,
        jobs=Jobs(client("sagemaker", COLLECT_SECONDS), settings.work_bucket),
        runs=Runs(client=None, work=work, function="", clock=now),
        marking=Marking(index=index, champions=Champions(dynamodb, settings.batches_table), studies=studies, clock=now),
        settling=Settling(
            index=index,
            work=work,
            results=Documents(s3, settings.results_bucket),
            max_attempts=settings.max_attempts,
            clock=now,
            kept_days=settings.results_kept_days,
        ),
        trying=Trying(batches=batches, clock=now),
        studies=studies,
        job_name_prefix=settings.job_name_prefix,
        clock=now,
    )


def sharing(settings: SweepSettings, function: str, index: Index, champions: Champions) -> Sharing:
    """Return what closes studies in one or several invocations of ``function``, which is ``functions.sweep``."""
    return Sharing(
        concluding=concluding(settings, index, champions),
        closers=Closers(client("lambda", INVOKE_SECONDS, retries=2), function),
        most=settings.closers,
    )


def concluding(settings: SweepSettings, index: Index, champions: Champions) -> Concluding:
    """Return what closes studies, for ``functions.sweep``."""
    s3, dynamodb = client("s3"), client("dynamodb")
    hidden = settings.hidden_keys_table
    studies = Studies(dynamodb, settings.studies_table, settings.results_kept_days)
    return Concluding(
        studies=studies,
        index=index,
        champions=champions,
        results=Documents(s3, settings.results_bucket, study_document.MOST_BYTES),
        rescoring=Rescoring(
            index=index,
            uploads=Uploads(s3, settings.uploads_bucket, settings.work_bucket, settings.data_key_arn),
            clock=now,
            keys=HiddenKeys(dynamodb, hidden) if hidden else None,
        ),
        backlog=Backlog(client("cloudwatch", METRICS_SECONDS, retries=2), settings.uploads_queue_name, now),
        announcing=Announcing(
            studies=studies,
            announcements=Announcements(
                client("events", EVENTS_SECONDS, retries=2),
                settings.job_name_prefix,
                settings.results_bucket,
                settings.urgent_labels,
            ),
            clock=now,
        ),
        rule=settings.series,
        patience=settings.patience,
        fhir_results=settings.fhir_results,
        clock=now,
    )
