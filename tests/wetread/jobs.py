"""SageMaker's jobs and their logs in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class JobLogs:
    """SageMaker's lists of jobs, and CloudWatch Logs: one stream for each job in ``jobs``.

    It has the job's lines in ``own``, or ``lines``.
    """

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.lines: list[str] = []
        self.own: dict[str, list[str]] = {}
        self.groups: list[str] = []

    def list_training_jobs(self, **request: Any) -> dict[str, Any]:
        return {"TrainingJobSummaries": [{"TrainingJobName": one} for one in self._fitting(request)]}

    def list_processing_jobs(self, **request: Any) -> dict[str, Any]:
        return {"ProcessingJobSummaries": [{"ProcessingJobName": one} for one in self._fitting(request)]}

    def describe_log_streams(self, **request: Any) -> dict[str, Any]:
        self.groups.append(request["logGroupName"])
        job = request["logStreamNamePrefix"].removesuffix("/")
        streams = [{"logStreamName": f"{job}/algo-2"}, {"logStreamName": f"{job}/algo-1", "lastEventTimestamp": 9}]
        return {"logStreams": streams if self._lines_of(job) else []}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "describe_log_streams"
        return SimpleNamespace(paginate=lambda **request: [self.describe_log_streams(**request)])

    def get_log_events(self, **request: Any) -> dict[str, Any]:
        job, _, host = request["logStreamName"].rpartition("/")
        lines = self._lines_of(job) if host == "algo-1" else []
        if not request["startFromHead"]:
            return {"events": [{"message": line} for line in lines[-request["limit"] :]]}
        events = [{"message": line} for line in lines[int(request.get("nextToken", 0)) :]]
        return {"events": events, "nextForwardToken": str(len(lines))}

    def _lines_of(self, job: str) -> list[str]:
        return self.own.get(job, self.lines)

    def _fitting(self, request: dict[str, Any]) -> list[str]:
        assert (request["SortBy"], request["SortOrder"]) == ("CreationTime", "Descending")
        return [job for job in reversed(self.jobs) if request["NameContains"] in job][: request["MaxResults"]]
