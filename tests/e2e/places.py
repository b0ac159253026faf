"""Every place where a service leaves data: names, documents, logs, metrics, histories, jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functions.names import COHORTS, DICOM_RESULTS, INSTANCES, SLICES
from tests.phi_leak import KEY
from wetread.connection import Connection


@dataclass(frozen=True)
class Place:
    """Something that was left: its place, its content, and which markers are allowed there."""

    name: str
    content: bytes
    allowed: frozenset[str] = frozenset()

    @property
    def kind(self) -> str:
        """The kind of place."""
        return self.name.partition("/")[0]


KEYS_ALLOWED = frozenset({KEY})
DEPLOYED = frozenset({"code", "layers", "runtime"})
"""Folders of the local cloud's scratch that hold packages."""
_DESCRIBED = (
    ("transform_jobs", "TransformJobSummaries", "TransformJobName", "transform_job"),
    ("training_jobs", "TrainingJobSummaries", "TrainingJobName", "training_job"),
    ("processing_jobs", "ProcessingJobSummaries", "ProcessingJobName", "processing_job"),
    ("models", "Models", "ModelName", "model"),
)


def everywhere(connection: Connection) -> Iterator[Place]:
    """Yield all that the cloud holds, except what people put there themselves."""
    yield from tables(connection)
    yield from buckets(connection)
    yield from logs(connection)
    yield from metrics(connection)
    yield from dead_letters(connection)
    yield from executions(connection)
    yield from jobs(connection)
    yield from model_packages(connection)


def _document(name: str, document: object, allowed: frozenset[str] = frozenset()) -> Place:
    return Place(name, json.dumps(document, default=str, ensure_ascii=False).encode(), allowed)


def tables(connection: Connection) -> Iterator[Place]:
    """Yield every attribute of every item; only a row's ``Key``, and the table of hidden ones, may have the key."""
    deployment = connection.deployment
    with_keys = {deployment.index_table_name, deployment.keys_table_name}
    for table in (*sorted(with_keys), deployment.batches_table_name, deployment.studies_table_name):
        for page in connection.dynamodb.get_paginator("scan").paginate(TableName=table):
            for item in page["Items"]:
                for attribute, value in item.items():
                    is_key = table in with_keys and attribute == "Key"
                    yield _document(f"table/{table}/{attribute}", value, KEYS_ALLOWED if is_key else frozenset())


def buckets(connection: Connection) -> Iterator[Place]:
    """Yield every object version of every bucket but the uploads': its key, metadata and tags, and its body."""
    for bucket in (one["Name"] for one in connection.s3.list_buckets()["Buckets"]):
        if bucket == connection.deployment.uploads_bucket_name:
            continue
        for page in connection.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for entry in page.get("Versions", []):
                if bucket == connection.deployment.training_bucket_name and entry["Key"].startswith(COHORTS):
                    continue  # a person's own files
                yield from _object(connection, bucket, entry)


def _object(connection: Connection, bucket: str, entry: Any) -> Iterator[Place]:
    """Yield an object version's name, metadata and tags, and its body unless it is a DICOM object of the patient."""
    key, version = entry["Key"], entry["VersionId"]
    where: Any = {"Bucket": bucket, "Key": key} | ({} if version == "null" else {"VersionId": version})
    answer = connection.s3.get_object(**where)
    about = {name: value for name, value in answer.items() if name != "Body"}
    # The emulator knows the tags of the newest version alone, and answers NoSuchKey where that is a delete marker.
    tags = connection.s3.get_object_tagging(**where)["TagSet"] if entry["IsLatest"] else []
    yield _document(f"object's name, metadata and tags/{bucket}/{key}", [key, about, tags])
    with answer["Body"] as body:
        if not key.startswith((INSTANCES, SLICES, DICOM_RESULTS)):  # DICOM objects of the patient
            yield Place(f"object/{bucket}/{key}", body.read())


def logs(connection: Connection) -> Iterator[Place]:
    """Yield every log group and stream by name, and every line."""
    client = connection.logs
    for groups in client.get_paginator("describe_log_groups").paginate():
        for group in groups["logGroups"]:
            yield _document(f"log group/{group['logGroupName']}", group)
            for streams in client.get_paginator("describe_log_streams").paginate(logGroupName=group["logGroupName"]):
                yield from (_document(f"log stream/{group['logGroupName']}", one) for one in streams["logStreams"])
            for page in client.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                yield from (
                    Place(f"log line/{group['logGroupName']}", event["message"].encode()) for event in page["events"]
                )


def metrics(connection: Connection) -> Iterator[Place]:
    """Yield every metric's name and dimensions, and every alarm with its state's reason."""
    client = connection.client("cloudwatch")
    for page in client.get_paginator("list_metrics").paginate():
        yield from (_document(f"metric/{one['MetricName']}", one) for one in page["Metrics"])
    for page in client.get_paginator("describe_alarms").paginate():
        yield from (_document(f"alarm/{one['AlarmName']}", one) for one in page["MetricAlarms"])


def dead_letters(connection: Connection) -> Iterator[Place]:
    """Yield dead letters: S3's own events, which name the key."""
    for queue in connection.deployment.dead_letter_queue_urls:
        for message in messages(connection, queue):
            yield Place(f"dead letter/{queue.rsplit('/', 1)[-1]}", message.encode(), KEYS_ALLOWED)


def messages(connection: Connection, queue: str) -> Iterator[str]:
    """Yield the messages of a queue, hidden for a minute each."""
    while received := connection.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=60):
        if not received.get("Messages"):
            return
        yield from (json.dumps(message) for message in received["Messages"])


def executions(connection: Connection) -> Iterator[Place]:
    """Yield name, input, output, error and cause of every execution, and every event of its history."""
    client, machine = connection.stepfunctions, connection.deployment.training_state_machine_arn
    for page in client.get_paginator("list_executions").paginate(stateMachineArn=machine):
        for one in page["executions"]:
            arn = one["executionArn"]
            yield _document(f"execution/{one['name']}", client.describe_execution(executionArn=arn))
            for events in client.get_paginator("get_execution_history").paginate(executionArn=arn):
                yield from (_document(f"execution's event/{event['type']}", event) for event in events["events"])


def jobs(connection: Connection) -> Iterator[Place]:
    """Yield every job and Model as SageMaker describes it, with its tags."""
    client: Any = connection.sagemaker
    for plural, listed, name, singular in _DESCRIBED:
        for page in client.get_paginator(f"list_{plural}").paginate():
            for summary in page[listed]:
                described = getattr(client, f"describe_{singular}")(**{name: summary[name]})
                arn = described[f"{name.removesuffix('Name')}Arn"]
                yield _document(f"{singular}/{summary[name]}", [described, client.list_tags(ResourceArn=arn)["Tags"]])


def endpoint(connection: Connection) -> Iterator[Place]:
    """Yield the descriptions, configurations and tags of endpoints."""
    sagemaker = connection.sagemaker
    for one in sagemaker.list_endpoints()["Endpoints"]:
        described = sagemaker.describe_endpoint(EndpointName=one["EndpointName"])
        config = sagemaker.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
        tags = sagemaker.list_tags(ResourceArn=described["EndpointArn"])["Tags"]
        yield _document(f"endpoint/{one['EndpointName']}", [described, config, tags])


def model_packages(connection: Connection) -> Iterator[Place]:
    """Yield every version with its evidence, approval and tags."""
    for version in connection.registry.versions():
        described = connection.sagemaker.describe_model_package(ModelPackageName=version.arn)
        tags = connection.sagemaker.list_tags(ResourceArn=version.arn)["Tags"]
        yield _document(f"model_package/{version.model_package}", [described, tags])


def files(kind: str, folder: Path) -> Iterator[Place]:
    """Yield every file below a folder, name and bytes, except the functions' packages, which are read-only."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if not DEPLOYED.intersection(inside.parts):
            yield Place(f"{kind}/{path.name}", str(inside).encode() + (path.read_bytes() if path.is_file() else b""))
