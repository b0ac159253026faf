from __future__ import annotations

import time

import pytest


@pytest.fixture
def group(client, name):
    """A log group with a line in each of three streams."""
    logs = client("logs")
    logs.create_log_group(logGroupName=name)
    for stream in ("job-1/a", "job-1/b", "job-2/a"):
        logs.create_log_stream(logGroupName=name, logStreamName=stream)
        event = {"timestamp": int(time.time() * 1000), "message": stream}
        logs.put_log_events(logGroupName=name, logStreamName=stream, logEvents=[event])
    return name


@pytest.mark.parametrize(
    ("prefix", "streams"), [("job-1/", ["job-1/a", "job-1/b"]), ("job-2", ["job-2/a"]), ("job-3", [])]
)
def test_events_are_filtered_by_the_prefix_of_their_stream(client, group, prefix, streams):
    events = client("logs").filter_log_events(logGroupName=group, logStreamNamePrefix=prefix)["events"]
    assert sorted(event["message"] for event in events) == streams


def test_without_a_prefix_all_streams_are_looked_at(client, group):
    assert len(client("logs").filter_log_events(logGroupName=group)["events"]) == 3
