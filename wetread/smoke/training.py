"""One run of the training workflow that no stage can promote, and what it shows of Step Functions and the jobs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from functions.domain import layout
from functions.domain.verdict import ModelProblem
from wetread.connection import Connection
from wetread.problems import Interruption
from wetread.smoke.account import key_line
from wetread.smoke.phantoms import ACCEPTED, HYPERPARAMETERS, Marks, write_cohort
from wetread.smoke.table import Line
from wetread.training import cohorts, run_report, starting
from wetread.training.following import follow
from wetread.training.job import LOG_GROUP
from wetread.training.runs import Run

PURPOSE = "smoke"
EVERY_JOB = ("Audit", "Train", "Optimise", "Evaluate")


class Training:
    """The training run of one smoke test; ``candidate_uri`` is its artifact, "" before it has one."""

    def __init__(self, connection: Connection, marks: Marks, now: datetime) -> None:
        self._connection = connection
        self._marks = marks
        self._now = now
        self.candidate_uri = ""

    def lines(self) -> Iterator[Line]:
        """Run the workflow to its end; yield its lines. Interrupted, the run is stopped."""
        before = self._champion()
        run = self._run()
        codes = {one.code for one in run_report.reasons(self._connection, run)}
        seen = f"{run.outcome}: {', '.join(sorted(codes))}" if codes else f"{run.outcome} {run_report.failure(run)}"
        well = run.outcome == "Rejected" and ModelProblem.UNDEFINED_METRIC in codes
        yield Line.judged("train", f"run {run.run_id} of one epoch", "Rejected by the model gate", seen, well=well)
        champion = self._champion()
        yield Line.judged("train", "the champion", f"{before}, as before", champion, well=champion == before)
        yield from self._workflow(run, well=well)
        yield from self._job(run)

    def _run(self) -> Run:
        connection = self._connection
        with tempfile.TemporaryDirectory() as folder:
            labelled = cohorts.read(write_cohort(Path(folder), self._marks, connection.deployment.labels))
            document = starting.request(connection, labelled, accepted_risks=ACCEPTED, hyperparameters=HYPERPARAMETERS)
            starting.send(connection, labelled)
        run = starting.start(connection, document, self._now, PURPOSE)
        try:
            return follow(connection, run)
        except Interruption:
            connection.stepfunctions.stop_execution(executionArn=run.arn, cause="wetread smoke was interrupted")
            raise

    def _champion(self) -> str:
        champion = self._connection.registry.champion()
        return champion.model_package if champion else "none"

    def _workflow(self, run: Run, *, well: bool) -> Iterator[Line]:
        pages = self._connection.stepfunctions.get_paginator("get_execution_history").paginate(executionArn=run.arn)
        events: list[dict[str, Any]] = [event for page in pages for event in page["events"]]
        entered = [one["stateEnteredEventDetails"]["name"] for one in events if "stateEnteredEventDetails" in one]
        yield hash_line(events, run.run_id)
        again = entered.count("TryAgain?")
        yield Line.judged("R10", "jobs that were started again (TryAgain?)", "0", again, well=again == 0)
        ran = [name for name in EVERY_JOB if name in entered]
        said = "states that were entered"
        for number, what in (
            ("B2", "quotas of training and processing hosts"),
            ("R3", "grants of the key to the jobs' disks"),
            ("R4", "snapshot reads champion and key"),
            ("R8", "job roles list by prefix alone"),
        ):
            everywhere = well and len(ran) == len(EVERY_JOB)
            yield Line.judged(number, f"{what}: {said}", ", ".join(EVERY_JOB), ", ".join(ran), well=everywhere)

    def _job(self, run: Run) -> Iterator[Line]:
        connection = self._connection
        found = connection.sagemaker.list_training_jobs(
            NameContains=run.run_id, SortBy="CreationTime", SortOrder="Descending", MaxResults=1
        )["TrainingJobSummaries"]
        if not found:
            yield Line.judged("R2", "training job", "one", "none", well=False)
            return
        job = connection.sagemaker.describe_training_job(TrainingJobName=found[0]["TrainingJobName"])
        status = job["TrainingJobStatus"]
        yield Line.judged(
            "R2",
            f"{job['TrainingJobName']}, which deletes a checkpoint",
            "Completed",
            status,
            well=status == "Completed",
        )
        bucket, prefix = layout.parse_uri(job["CheckpointConfig"]["S3Uri"])
        kept = connection.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        yield Line.judged("R2", "checkpoints", "1 or more", ", ".join(one["Key"] for one in kept), well=bool(kept))
        if kept:
            yield key_line(connection, "R14", "key of a checkpoint", layout.uri(bucket, kept[0]["Key"]))
        artifact = job["ModelArtifacts"]["S3ModelArtifacts"]
        if status == "Completed":
            self.candidate_uri = artifact
            yield key_line(connection, "R14", "key of a job's output", artifact)
        yield from self._logs(str(job["TrainingJobName"]))

    def _logs(self, job: str) -> Iterator[Line]:
        logs = self._connection.logs
        groups = logs.describe_log_groups(logGroupNamePrefix=LOG_GROUP)["logGroups"]
        kept = next((one.get("retentionInDays") for one in groups if one["logGroupName"] == LOG_GROUP), None)
        expected = "days, if you have set them (docs/operations.md)"
        yield Line.judged("R15", f"retention of {LOG_GROUP}", expected, kept or "never expires", well=bool(groups))
        streams = logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{job}/")["logStreams"]
        lines = sum(
            len(logs.get_log_events(logGroupName=LOG_GROUP, logStreamName=one["logStreamName"])["events"])
            for one in streams
        )
        yield Line.judged("logs", "lines of the training job", "1 or more", lines, well=lines > 0)


def hash_line(events: list[dict[str, Any]], run_id: str) -> Line:
    """Return whether Step Functions' ``$hash`` in the state Begin is Python's, where the history has variables."""
    what = "$hash of the execution's name (Begin)"
    exits = (one["stateExitedEventDetails"] for one in events if "stateExitedEventDetails" in one)
    begun: dict[str, Any] = next((one for one in exits if one["name"] == "Begin"), {})
    seen = str(begun.get("assignedVariables", {}).get("run", "")).strip('"')
    if not seen:
        return Line.later("R11", what, run_id, "the history has no variables")
    return Line.judged("R11", what, run_id, seen, well=seen == run_id)
