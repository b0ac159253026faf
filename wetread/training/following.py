"""Follow a run to its end: its current state, and the log lines of its jobs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from wetread.connection import Connection
from wetread.console import Bar
from wetread.problems import Interruption
from wetread.training.joblog import JobLog, lines_for_people
from wetread.training.runs import Run

POLL_SECONDS = 2.0
NOTIFYING = frozenset({"TryAgain?", "NotifyFailed", "Failed"})
TRIES = 20
"""More jobs than a state has: one for each try."""
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
    """Show a run's progress in a bar until it has ended, and return the ended run. In a pipe, print every log line.

    Raises Interruption, which says that the run continues, when a person presses Ctrl-C.
    """
    logs, newest = _RunLogs(connection, run), ""
    try:
        with Bar("Starting", None) as bar:
            while not run.ended:
                time.sleep(POLL_SECONDS)  # first: Step Functions may not know at once what it has just started
                # The description first: what the jobs printed before the run ended is in their logs by then.
                run = connection.runs.describe(run.arn)
                state = logs.state()
                for newest in logs.new_lines():
                    bar.log(newest)
                if not run.ended:
                    bar.show(newest if newest.startswith(f"{state}: ") else state)
    except KeyboardInterrupt:
        raise Interruption(f"The run continues: see `wetread runs {run.run_id}`.") from None
    return run


class _RunLogs:
    """The logs of a run's jobs. The log of a job whose state was left is read on: its last lines come late."""

    def __init__(self, connection: Connection, run: Run) -> None:
        self._connection = connection
        self._run = run
        self._entered: list[str] = []
        self._logs: dict[str, tuple[str, JobLog]] = {}

    def state(self) -> str:
        """Look at the run's history, and return the name of its current state."""
        entered = _states_entered(self._connection.stepfunctions, self._run.arn)
        # Also of the state before: it may have begun another try before it was left.
        for state in dict.fromkeys(entered[max(0, len(self._entered) - 1) :]):
            for job in jobs_of(self._connection.sagemaker, self._run.run_id, state):
                self._logs.setdefault(job, (state, JobLog(self._connection.logs, JOBS[state].log_group, job)))
        self._entered = entered
        return entered[-1] if entered else "Starting"

    def new_lines(self) -> Iterator[str]:
        """Return the lines since the last call, each after its state, by the age of their jobs."""
        for state, log in self._logs.values():
            yield from (f"{state}: {line.strip()}" for line in log.new_lines())


def progress(connection: Connection, run: Run) -> str:
    """Return a run's state and, if the state runs a job, the newest line of the job's log."""
    state = state_of(connection.stepfunctions, run.arn)
    job = job_of(connection.sagemaker, run.run_id, state)
    line = last_line(connection.logs, JOBS[state].log_group, job) if job else ""
    return f"{state}: {line}" if line else state


def state_of(stepfunctions: Any, arn: str) -> str:
    """Return the name of the state that an execution entered last, without the states that only report a failure."""
    return next(reversed(_states_entered(stepfunctions, arn)), "Starting")


def _states_entered(stepfunctions: Any, arn: str) -> list[str]:
    """Return the names of the states that an execution entered, oldest first, without those of ``NOTIFYING``."""
    history = stepfunctions.get_execution_history(
        executionArn=arn, reverseOrder=True, maxResults=HISTORY_EVENTS, includeExecutionData=False
    )
    entries = (event for event in history["events"] if str(event["type"]).endswith("StateEntered"))
    names = (str(event["stateEnteredEventDetails"]["name"]) for event in entries)
    return [name for name in names if name not in NOTIFYING][::-1]


def job_of(sagemaker: Any, run_id: str, state: str) -> str:
    """Return the name of the newest job of a run in a state, or ""."""
    return next(reversed(jobs_of(sagemaker, run_id, state)), "")


def jobs_of(sagemaker: Any, run_id: str, state: str) -> list[str]:
    """Return the names of the jobs of a run in a state, oldest first: one for each try."""
    jobs = JOBS.get(state)
    if jobs is None:
        return []
    answer = getattr(sagemaker, jobs.operation)(
        NameContains=f"{state.lower()}-{run_id}", SortBy="CreationTime", SortOrder="Descending", MaxResults=TRIES
    )
    return [str(summary[jobs.name]) for summary in answer[jobs.summaries]][::-1]


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
