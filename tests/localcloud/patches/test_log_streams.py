from __future__ import annotations

import json
import time

import boto3
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


def test_iam_is_asked_about_the_stream_that_is_read(client, group):
    iam, trust = client("iam"), {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    stream = f"arn:aws:logs:*:*:log-group:{group}:log-stream:job-1/*"
    may = {"Effect": "Allow", "Action": "logs:GetLogEvents", "Resource": stream}
    role = iam.create_role(RoleName=group, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]
    iam.put_role_policy(RoleName=group, PolicyName="may", PolicyDocument=json.dumps({"Statement": [may]}))
    taken = client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="reader")["Credentials"]
    logs = boto3.client(
        "logs",
        endpoint_url=client("logs").meta.endpoint_url,
        region_name=client("logs").meta.region_name,
        aws_access_key_id=taken["AccessKeyId"],
        aws_secret_access_key=taken["SecretAccessKey"],
        aws_session_token=taken["SessionToken"],
    )
    assert logs.get_log_events(logGroupName=group, logStreamName="job-1/a")["events"]
    with pytest.raises(logs.exceptions.ClientError, match="AccessDenied"):
        logs.get_log_events(logGroupName=group, logStreamName="job-2/a")
