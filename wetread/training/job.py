"""Follow one training job to its end: its log lines, its status, and its results."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from wetread.connection import Connection
from wetread.console import Bar
from wetread.problems import ConfigProblem, Interruption, Problem
from wetread.training.joblog import JobLog

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
POLL_SECONDS = 2.0
ENDED = frozenset({"Completed", "Failed", "Stopped"})
DIGEST = "model:digest_"  # numbers for the training workflow only
EPOCH = re.compile(r"^epoch=(\d+) ")


@dataclass(frozen=True)
class Trained:
    """A training job that has completed: its name, its model.tar.gz, and the last metrics that SageMaker parsed."""

    job: str
    artifact_uri: str
    metrics: dict[str, float]


def follow(connection: Connection, job: str, show: Callable[[str], None]) -> Trained:
    """Show a job's status with a bar and pass every log line to ``show``, until it has ended.

    Raises ConfigProblem when there is no such job, Problem when it fails or is stopped, and Interruption, which says
    that it continues, when a person presses Ctrl-C.
    """
    log = JobLog(connection.logs, LOG_GROUP, job)
    found = _describe(connection, job)
    epochs = str(found.get("HyperParameters", {}).get("epochs", "")).strip('"')
    try:
        with Bar("Starting", int(epochs) if epochs.isdigit() else None) as bar:
            while True:
                # The description first: what the job printed before it ended is in the log by then.
                found = _describe(connection, job)
                for line in log.new_lines():
                    show(line)
                    if epoch := EPOCH.match(line):
                        bar.show(str(found["SecondaryStatus"]), completed=int(epoch[1]))
                if found["TrainingJobStatus"] in ENDED:
                    break
                bar.show(str(found["SecondaryStatus"]))
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        raise Interruption(f"The job continues: follow it with `wetread experiment --attach {job}`.") from None
    return _result(found)


def _describe(connection: Connection, job: str) -> dict[str, Any]:
    try:
        return dict(connection.sagemaker.describe_training_job(TrainingJobName=job))
    except ClientError as error:
        if error_code(error) not in {"ResourceNotFound", "ValidationException"}:
            raise
        raise ConfigProblem(f"There is no training job {job!r}.", "SageMaker's console lists them.") from error


def _result(found: dict[str, Any]) -> Trained:
    job, status = found["TrainingJobName"], found["TrainingJobStatus"]
    if status != "Completed":
        reason = found.get("FailureReason") or "no reason given"
        raise Problem(f"Training job {job} is {status}: {reason}", "Its log lines above say more.")
    metrics = {one["MetricName"]: float(one["Value"]) for one in found.get("FinalMetricDataList", [])}
    metrics = {name: value for name, value in metrics.items() if not name.startswith(DIGEST)}
    return Trained(job, found["ModelArtifacts"]["S3ModelArtifacts"], metrics)
