"""A job's log is read once, host by host, page by page."""

from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from tests.fakes.wire import Wire, client_error
from wetread.training.joblog import JobLog


class Logs:
    """Streams of lines; a page has two of them, and a token counts what was read."""

    def __init__(self) -> None:
        self.streams: dict[str, list[str]] = {}

    def describe_log_streams(self, *, logGroupName, logStreamNamePrefix):  # noqa: N803
        return {
            "logStreams": [{"logStreamName": name} for name in self.streams if name.startswith(logStreamNamePrefix)]
        }

    def get_log_events(self, *, logGroupName, logStreamName, startFromHead, nextToken="0"):  # noqa: N803
        assert startFromHead
        begin = int(nextToken)
        page = self.streams[logStreamName][begin : begin + 2]
        return {"events": [{"message": line} for line in page], "nextForwardToken": str(begin + len(page))}


@pytest.fixture
def logs() -> Logs:
    return Logs()


@pytest.fixture
def log(logs: Logs) -> JobLog:
    return JobLog(Wire("logs", logs), "/aws/sagemaker/TrainingJobs", "job")


def test_every_line_of_the_jobs_own_streams_comes_once(logs: Logs, log: JobLog) -> None:
    assert list(log.new_lines()) == []
    logs.streams = {"job/algo-1": ["a\n", "b", "c"], "job/algo-2": ["d"], "job-2/algo-1": ["another's"]}
    assert list(log.new_lines()) == ["a", "b", "c", "d"]
    assert list(log.new_lines()) == []
    logs.streams["job/algo-1"].append("e")
    assert list(log.new_lines()) == ["e"]


def test_no_log_group_yet_is_no_error_and_other_trouble_is() -> None:
    def fail(**_):
        raise client_error(code)

    log = JobLog(SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=fail)), "group", "job")
    code = "ResourceNotFoundException"
    assert list(log.new_lines()) == []
    code = "AccessDeniedException"
    with pytest.raises(ClientError):
        list(log.new_lines())
