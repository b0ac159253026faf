"""SageMaker's jobs and their logs in memory."""

from __future__ import annotations

from typing import Any


class JobLogs:
    """SageMaker's lists of jobs, and CloudWatch Logs: one stream with ``lines`` for each job in ``jobs``."""

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.lines: list[str] = []
        self.groups: list[str] = []

    def list_training_jobs(self, **request: Any) -> dict[str, Any]:
        return {"TrainingJobSummaries": [{"TrainingJobName": one} for one in self._fitting(request)]}

    def list_processing_jobs(self, **request: Any) -> dict[str, Any]:
        return {"ProcessingJobSummaries": [{"ProcessingJobName": one} for one in self._fitting(request)]}

    def describe_log_streams(self, **request: Any) -> dict[str, Any]:
        self.groups.append(request["logGroupName"])
        job = request["logStreamNamePrefix"].removesuffix("/")
        streams = [{"logStreamName": f"{job}/algo-2"}, {"logStreamName": f"{job}/algo-1", "lastEventTimestamp": 9}]
        return {"logStreams": streams if self.lines else []}

    def get_log_events(self, **request: Any) -> dict[str, Any]:
        assert request["logStreamName"].endswith("algo-1")
        return {"events": [{"message": line} for line in self.lines[-request["limit"] :]]}

    def _fitting(self, request: dict[str, Any]) -> list[str]:
        assert (request["SortBy"], request["SortOrder"]) == ("CreationTime", "Descending")
        return [job for job in reversed(self.jobs) if request["NameContains"] in job][: request["MaxResults"]]
