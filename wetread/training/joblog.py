"""The log of one job of several hosts, line by line as it grows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code

DIGEST = re.compile(r"(model_digest_\d+=\d+ ?)+")
"""A line with the digest of the trained model: numbers for the training workflow only."""


class JobLog:
    """The log streams of one job; each line for people is read once."""

    def __init__(self, logs: Any, group: str, job: str) -> None:
        """``logs`` is a CloudWatch Logs client; the streams of ``job`` are named ``<job>/<host>``."""
        self._logs = logs
        self._group = group
        self._job = job
        self._tokens: dict[str, str] = {}

    def new_lines(self) -> Iterator[str]:
        """Return the lines since the last call, host by host; empty before SageMaker has created the log."""
        try:
            for stream in self._streams():
                yield from self._new_lines_of(stream)
        except ClientError as error:
            if error_code(error) != "ResourceNotFoundException":
                raise

    def _streams(self) -> list[str]:
        pages = self._logs.get_paginator("describe_log_streams").paginate(
            logGroupName=self._group, logStreamNamePrefix=f"{self._job}/"
        )
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]

    def _new_lines_of(self, stream: str) -> Iterator[str]:
        while True:
            token = self._tokens.get(stream)
            since: dict[str, Any] = {"nextToken": token} if token else {}
            answer = self._logs.get_log_events(
                logGroupName=self._group, logStreamName=stream, startFromHead=True, **since
            )
            self._tokens[stream] = answer["nextForwardToken"]
            yield from lines_for_people(answer["events"])
            # At the end of a stream CloudWatch returns the same token; an empty page alone is not the end.
            if answer["nextForwardToken"] == token:
                return


def lines_for_people(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the lines of log events without those that have only numbers for the workflow."""
    lines = (str(event["message"]).rstrip() for event in events)
    return [line for line in lines if not DIGEST.fullmatch(line)]
