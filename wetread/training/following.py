"""Follow a run to its end: its current state, and the newest log line of that state's job."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from wetread.connection import Connection
from wetread.console import Bar
from wetread.problems import Interruption
from wetread.training.joblog import lines_for_people
from wetread.training.runs import Run

POLL_SECONDS = 2.0
NOTIFYING = frozenset({"TryAgain?", "NotifyFailed", "Failed"})
HISTORY_EVENTS = 1000
"""How far back the newest state is looked for: no state of the workflow has so many events."""


@dataclass(frozen=True)
class _Jobs:
    """How SageMaker lists one kind of jobs: operation, answer, name; and where their logs are."""

    operation: str
    summaries: str
    name: str
    log_group: str


_TRAINING = _Jobs("list_training_jobs", "TrainingJobSummaries", "TrainingJobName", "/aws/sagemaker/TrainingJobs")
_PROCESSING = _Jobs(
    "list_processing_jobs", "ProcessingJobSummaries", "ProcessingJobName", "/aws/sagemaker/ProcessingJobs"
)
JOBS = {"Audit": _PROCESSING, "Train": _TRAINING, "Optimise": _PROCESSING, "Evaluate": _PROCESSING}
"""State of the workflow -> the jobs that it runs; their names carry the state's and the run's."""


def follow(connection: Connection, run: Run) -> Run:
    """Show a run's progress in a bar until it has ended, and return the ended run.

    Raises Interruption, which says that the run continues, when a person presses Ctrl-C.
    """
    try:
        with Bar("Starting", None) as bar:
            while not run.ended:
                time.sleep(POLL_SECONDS)  # first: Step Functions may not know at once what it has just started
                run = connection.runs.describe(run.arn)
                if not run.ended:
                    bar.show(progress(connection, run))
    except KeyboardInterrupt:
        raise Interruption(f"The run continues: see `wetread runs {run.run_id}`.") from None
    return run


def progress(connection: Connection, run: Run) -> str:
    """Return a run's state and, if the state runs a job, the newest line of the job's log."""
    state = state_of(connection.stepfunctions, run.arn)
    job = job_of(connection.sagemaker, run.run_id, state)
    line = last_line(connection.logs, JOBS[state].log_group, job) if job else ""
    return f"{state}: {line}" if line else state


def state_of(stepfunctions: Any, arn: str) -> str:
    """Return the name of the state that an execution entered last, without the states that only report a failure."""
    history = stepfunctions.get_execution_history(
        executionArn=arn, reverseOrder=True, maxResults=HISTORY_EVENTS, includeExecutionData=False
    )
    entries = (event for event in history["events"] if str(event["type"]).endswith("StateEntered"))
    names = (str(event["stateEnteredEventDetails"]["name"]) for event in entries)
    return next((name for name in names if name not in NOTIFYING), "Starting")


def job_of(sagemaker: Any, run_id: str, state: str) -> str:
    """Return the name of the newest job of a run in a state, or ""."""
    jobs = JOBS.get(state)
    if jobs is None:
        return ""
    answer = getattr(sagemaker, jobs.operation)(
        NameContains=f"{state.lower()}-{run_id}", SortBy="CreationTime", SortOrder="Descending", MaxResults=1
    )
    return next((str(summary[jobs.name]) for summary in answer[jobs.summaries]), "")


def last_line(logs: Any, group: str, job: str) -> str:
    """Return the newest line for people in the logs of a job's hosts, or "" before there is one."""
    try:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
        if not streams:
            return ""
        newest = max(streams, key=lambda stream: stream.get("lastEventTimestamp", 0))["logStreamName"]
        events = logs.get_log_events(logGroupName=group, logStreamName=newest, limit=2, startFromHead=False)["events"]
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
        return ""
    lines = lines_for_people(events)
    return lines[-1].strip() if lines else ""
