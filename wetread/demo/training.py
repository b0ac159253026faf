"""The demo's first model: a SageMaker training job on phantoms, watched to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from functions.domain import layout
from wetread.connection import Connection
from wetread.problems import Problem
from wetread.uploads import Source, upload

HYPERPARAMETERS = {"epochs": "6", "image_size": "96", "batch_size": "8", "seed": "0", "model_name": "phantom-ct"}
MAX_SECONDS = 3600
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ENDED = frozenset({"Completed", "Failed", "Stopped"})
POLL_SECONDS = 2.0


def train(connection: Connection, cohort: Path, artifact: Path, now: datetime, tell: Callable[[str], None]) -> None:
    """Train on the labelled objects in ``cohort`` and write the model.tar.gz to ``artifact``.

    ``tell`` gets the job's newest log line. Raises Problem when the job does not complete.
    """
    deployment = connection.deployment
    name = f"{deployment.job_name_prefix}-demo-{now:%Y%m%d-%H%M%S}"
    channel = f"{layout.INSTANCES}{name}/"
    sources = [Source(path, channel + path.name) for path in sorted(cohort.iterdir())]
    _, failed = upload(connection.s3, deployment.work_bucket_name, sources, lambda: None)
    if failed:
        raise Problem(f"{len(failed)} training files could not be uploaded.", failed[0].reason)
    connection.sagemaker.create_training_job(**_request(connection, name, channel))
    job = _watch(connection, name, tell)
    if job["TrainingJobStatus"] != "Completed":
        reason = job.get("FailureReason", "no reason given")
        raise Problem(f"Training job {name} is {job['TrainingJobStatus']}: {reason}.", f"Read its log in {LOG_GROUP}.")
    bucket, _, key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    connection.s3.download_file(bucket, key, str(artifact))


def _request(connection: Connection, name: str, channel: str) -> dict[str, Any]:
    deployment = connection.deployment
    uri = f"s3://{deployment.work_bucket_name}/"
    source = {"S3DataType": "S3Prefix", "S3Uri": uri + channel, "S3DataDistributionType": "FullyReplicated"}
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": deployment.image_uri, "TrainingInputMode": "File"},
        "RoleArn": deployment.job_role_arn,
        "HyperParameters": HYPERPARAMETERS,
        "InputDataConfig": [{"ChannelName": "training", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": uri + layout.OUTPUTS},
        "ResourceConfig": {"InstanceType": deployment.instance_type, "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": MAX_SECONDS},
        "EnableNetworkIsolation": True,
    }


def _watch(connection: Connection, name: str, tell: Callable[[str], None]) -> Any:
    logs = connection.client("logs")
    while True:
        job = connection.sagemaker.describe_training_job(TrainingJobName=name)
        tell(_last_line(logs, name) or job["SecondaryStatus"])
        if job["TrainingJobStatus"] in ENDED:
            return job
        time.sleep(POLL_SECONDS)


def _last_line(logs: Any, name: str) -> str:
    """The newest line of the job's log, "" before there is one."""
    try:
        streams = logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
        if not streams:
            return ""
        stream = streams[0]["logStreamName"]
        events = logs.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream, limit=1, startFromHead=False)[
            "events"
        ]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return ""
    return events[-1]["message"].strip() if events else ""
