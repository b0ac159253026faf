"""The deployed alarms, with shorter periods, and a queue that receives their messages."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.conftest import Service

HASTENED_SECONDS = 10
"""Alarm period instead of five minutes. Evaluation periods, and thresholds of all but ages, stay as deployed."""
SETTINGS = (
    "AlarmName",
    "AlarmDescription",
    "Namespace",
    "MetricName",
    "Dimensions",
    "Statistic",
    "Period",
    "EvaluationPeriods",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "AlarmActions",
)


@dataclass
class Bell:
    """Waits until alarms ring, which is a state and a message, and until they end."""

    service: Service
    queue: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)

    def listen(self) -> None:
        """Subscribe a queue to the topic of alarms."""
        connection = self.service.connection
        stack = connection.client("cloudformation").describe_stacks(StackName="Wetread")["Stacks"][0]
        (topic,) = [one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == "AlarmTopicArn"]
        self.queue = connection.sqs.create_queue(QueueName=f"heard-{time.time_ns()}")["QueueUrl"]
        asked = connection.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        arn = asked["Attributes"]["QueueArn"]
        statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        connection.sqs.set_queue_attributes(QueueUrl=self.queue, Attributes={"Policy": policy})
        connection.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def alarm(self, name: str) -> dict[str, Any]:
        """Return the alarm of that name in infra/monitoring.py."""
        pages = self.service.connection.client("cloudwatch").get_paginator("describe_alarms").paginate()
        alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
        (found,) = [one for one in alarms if re.search(rf"Monitoring{name}[0-9A-F]{{8}}", one["AlarmName"])]
        return dict(found)

    @contextmanager
    def hastened(self, *names: str, **changes: float) -> Iterator[None]:
        """Give the alarms short periods, and ``changes``, for the context."""
        client = self.service.connection.client("cloudwatch")
        deployed = {name: {key: self.alarm(name)[key] for key in SETTINGS} for name in names}
        for settings in deployed.values():
            client.put_metric_alarm(**settings | {"Period": HASTENED_SECONDS} | changes)
        try:
            yield
        finally:
            for settings in deployed.values():
                client.put_metric_alarm(**settings)

    def rings(self, *names: str, meanwhile: Callable[[], object] = lambda: None, seconds: float = 300) -> None:
        """Wait until each alarm rings; call ``meanwhile`` repeatedly."""
        waiting = {name: self.alarm(name)["AlarmName"] for name in names}
        since, deadline = len(self.messages), time.monotonic() + seconds
        while waiting:
            assert time.monotonic() < deadline, f"silent: {sorted(waiting)}"
            meanwhile()
            self._hear()
            rung = {one["AlarmName"] for one in self.messages[since:] if one["NewStateValue"] == "ALARM"}
            waiting = {name: physical for name, physical in waiting.items() if physical not in rung}
            time.sleep(0.5)

    def ends(self, *names: str, seconds: float = 180) -> None:
        """Wait until each alarm is back at OK."""
        deadline = time.monotonic() + seconds
        while ringing := [name for name in names if self.alarm(name)["StateValue"] != "OK"]:
            assert time.monotonic() < deadline, f"still not OK: {ringing}"
            time.sleep(0.5)

    def _hear(self) -> None:
        """Receive the alarms' messages; skip those about runs, which are plain text."""
        sqs = self.service.connection.sqs
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                said = json.loads(message["Body"])["Message"]
                if said.startswith("{"):
                    self.messages.append(json.loads(said))
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
