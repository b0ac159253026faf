"""The cloud whose roles lose statements: no scheduled sweep, and redelivery after seconds."""

from __future__ import annotations

import functools
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assurance.fault_injection.stage import Stage
from functions.domain.row import Row
from tests.instruments import VARIABLE, iam_recorder, loaded_with
from wetread.connection import Connection

COMES_AGAIN_SECONDS = 8
"""Visibility timeout. Longer than any function runs here, so that no message is delivered twice at once."""
AWS_ERROR = re.compile(r"\((?P<error>\w+)\) when calling the (?P<operation>\w+)")
NAMES = re.compile(r"(?<=s3://)[^\s\"]+|(?<=arn:)\S+|(?<=-)[0-9a-f]{12}\b")
LONGEST = 110
SWEEP = "BatchSweep"


class RoleStage(Stage):
    """A Stage with its stack's parts by construct name, and all its uploads, which must be completed."""

    def __init__(self, scratch: Path) -> None:
        """Start the cloud, without a champion."""
        self.record = scratch / "questions.jsonl"
        self.record.touch()
        os.environ |= {VARIABLE: loaded_with("iam_recorder"), iam_recorder.VARIABLE: str(self.record)}
        self.uploads: dict[str, str] = {}
        super().__init__(scratch, None)
        self.connection.client("events").disable_rule(Name=self.part("BatchEveryMinute"))
        for queue in ("IntakeUploads", "IntakeRetry", "BatchTick", "BatchJobEvents", "TrainingApprovals"):
            self._queue(queue, VisibilityTimeout=str(COMES_AGAIN_SECONDS))
        self.configure(SWEEP, STALE_SECONDS="1")

    @functools.cached_property
    def connection(self) -> Connection:
        """One connection: this cloud is never restarted."""
        return super().connection

    @functools.cached_property
    def _parts(self) -> dict[str, str]:
        pages = self.connection.client("cloudformation").get_paginator("list_stack_resources")
        found = pages.paginate(StackName=self.connection.stack)
        resources = [one for page in found for one in page["StackResourceSummaries"]]
        return {re.sub(r"[0-9A-F]{8}$", "", one["LogicalResourceId"]): one["PhysicalResourceId"] for one in resources}

    def part(self, construct: str) -> str:
        """Return the physical name of a construct."""
        return self._parts[construct]

    def configure(self, function: str, **variables: str) -> None:
        """Change settings of a function, as another deployment would."""
        functions, name = self.connection.client("lambda"), self.part(function)
        known = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": known | variables})

    def put(self) -> str:
        """Upload one object; return its Upload's id."""
        made = super().upload(1)
        self.uploads |= made
        (upload,) = made.values()
        return upload

    def row(self, upload: str) -> Row | None:
        """Return an upload's row, or None."""
        return self.connection.index.get_many([upload]).get(upload)

    def status(self, upload: str) -> str:
        """Return an upload's status as a person sees it."""
        row = self.row(upload)
        return str(row.status) if row else "no row"

    def sweep(self) -> str:
        """Sweep once; return the error, or ""."""
        began = time.time()
        answer = self.connection.client("lambda").invoke(FunctionName=self.part(SWEEP))
        if "FunctionError" not in answer:
            return ""
        return self.error(SWEEP, began) or str(json.loads(answer["Payload"].read())["errorMessage"])

    def error(self, function: str, since: float) -> str:
        """Return the first error that a function has logged since a moment, in short, or ""."""
        group = self.part(f"{function}Log")
        events = self.connection.logs.filter_log_events(logGroupName=group, startTime=int(since * 1000))["events"]
        return next(filter(None, (_error_in(event["message"]) for event in events)), "")

    @contextmanager
    def paused(self, *queues: str) -> Iterator[None]:
        """Disable the functions' mappings of these queues for the context."""
        functions = self.connection.client("lambda")
        mappings = [
            functions.list_event_source_mappings(EventSourceArn=self._queue(queue)["QueueArn"])["EventSourceMappings"]
            for queue in queues
        ]
        names = [one["UUID"] for found in mappings for one in found]
        for name in names:
            functions.update_event_source_mapping(UUID=name, Enabled=False)
        for name in names:
            self.until(lambda name=name: functions.get_event_source_mapping(UUID=name)["State"] == "Disabled")
        try:
            yield
        finally:
            for name in names:
                functions.update_event_source_mapping(UUID=name, Enabled=True)

    def unheard(self, queue: str) -> int:
        """Return the number of unprocessed messages of a queue."""
        counts = [value for name, value in self._queue(queue).items() if name.startswith("ApproximateNumberOfMessages")]
        return sum(map(int, counts))

    def redrive(self) -> int:
        """Send dead letters again, as the run book says; return their number."""
        sqs, dead = self.connection.sqs, 0
        for url in self.connection.deployment.dead_letter_queue_urls:
            attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            if count := int(attributes["ApproximateNumberOfMessages"]):
                sqs.start_message_move_task(SourceArn=attributes["QueueArn"])
                dead += count
        return dead

    def _queue(self, queue: str, **attributes: str) -> Mapping[str, Any]:
        """Change attributes of a queue; return all of them."""
        sqs, url = self.connection.sqs, self.part(f"{queue}Queue")
        if attributes:
            sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
        found: Mapping[str, Any] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return found


def _error_in(line: str) -> str:
    """Return the error in a line of a function's log, in short, or ""."""
    try:
        entry = json.loads(line)
    except ValueError:
        return short(line) if "ERROR" in line else ""
    if not isinstance(entry, dict) or entry.get("level") != "ERROR":
        return ""
    known = f"{entry['aws_error']} in {entry['operation']}" if "aws_error" in entry else ""
    return known or short(str(entry.get("reason") or entry.get("message")))


def short(reason: str) -> str:
    """Return a reason for the table: error and operation, or its beginning without a deployment's names."""
    found = AWS_ERROR.search(reason)
    return f"{found['error']} in {found['operation']}" if found else NAMES.sub("…", reason)[:LONGEST]
