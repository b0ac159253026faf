"""Builds the parts that several functions share from their settings and boto3 clients."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from functions.aws.artifacts import Artifacts
from functions.aws.batches import Batches
from functions.aws.champion import Champions
from functions.aws.index import Index
from functions.aws.jobs import Jobs, JobShape
from functions.aws.objects import Documents
from functions.aws.registry import Registry
from functions.aws.ticks import Ticks
from functions.domain.batch import Limits
from functions.flow.collecting import Collecting
from functions.flow.dispatching import Dispatching
from functions.flow.marking import Marking
from functions.settings import ApproveSettings, CollectSettings, DispatchSettings, IngestSettings

POOL = 32  # connections: more than any function's threads


def client(service: Any) -> Any:
    """A boto3 client that retries throttling and transport errors and shares connections among threads."""
    config = Config(retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=POOL)
    return boto3.client(service, config=config)


def now() -> datetime:
    """The functions' clock."""
    return datetime.now(UTC)


def registry(settings: ApproveSettings) -> Registry:
    """The model registry, for a function that promotes."""
    return Registry(
        s3=client("s3"),
        sagemaker=client("sagemaker"),
        champions=Champions(client("dynamodb"), settings.batches_table),
        ticks=ticks(settings),
        models_bucket=settings.models_bucket,
        group=settings.model_package_group,
        image_uri=settings.image_uri,
        job_role_arn=settings.job_role_arn,
        clock=now,
    )


def ticks(settings: IngestSettings | CollectSettings | ApproveSettings) -> Ticks:
    """The tick queue, for a function that sends."""
    return Ticks(client("sqs"), settings.tick_queue_url, settings.tick_window_seconds)


def dispatching(settings: DispatchSettings) -> Dispatching:
    """The parts of ``functions.dispatch``."""
    dynamodb, s3 = client("dynamodb"), client("s3")
    return Dispatching(
        index=Index(dynamodb, settings.index_table),
        batches=Batches(dynamodb, settings.batches_table, settings.index_table),
        champions=Champions(dynamodb, settings.batches_table),
        artifacts=Artifacts(s3, settings.models_bucket),
        work=Documents(s3, settings.work_bucket),
        jobs=Jobs(client("sagemaker"), settings.work_bucket),
        shape=JobShape(
            instance_type=settings.instance_type,
            instance_count=settings.instance_count,
            max_concurrent_transforms=settings.max_concurrent_transforms,
            max_payload_mb=settings.max_payload_mb,
            transform_ami_version=settings.transform_ami_version,
            data_key_arn=settings.data_key_arn,
        ),
        limits=Limits(
            slots=settings.slots,
            max_batch=settings.max_batch,
            parallel_threshold=settings.parallel_threshold,
            max_wait_seconds=settings.max_wait_seconds,
        ),
        job_name_prefix=settings.job_name_prefix,
        clock=now,
    )


def collecting(settings: CollectSettings) -> Collecting:
    """The parts of ``functions.collect``."""
    dynamodb, s3 = client("dynamodb"), client("s3")
    index = Index(dynamodb, settings.index_table)
    return Collecting(
        index=index,
        batches=Batches(dynamodb, settings.batches_table, settings.index_table),
        work=Documents(s3, settings.work_bucket),
        results=Documents(s3, settings.results_bucket),
        jobs=Jobs(client("sagemaker"), settings.work_bucket),
        marking=Marking(index=index, champions=Champions(dynamodb, settings.batches_table)),
        job_name_prefix=settings.job_name_prefix,
        max_attempts=settings.max_attempts,
        clock=now,
        kept_days=settings.results_kept_days,
    )
