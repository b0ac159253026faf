"""Runs of the training workflow: executions of its state machine, started, listed, found and read."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.domain import layout
from functions.domain.row import timestamp
from wetread.problems import ConfigProblem, Problem

RUNNING = "Running"
GOOD = frozenset({"Promoted", "AwaitingApproval"})
"""Outcomes of a run that made a version."""
ENDINGS = {"RUNNING": RUNNING, "FAILED": "Failed", "TIMED_OUT": "TimedOut", "ABORTED": "Aborted"}
"""Step Functions' status -> the word for a run without an outcome."""
NAMED = 5
"""How many runs the error for an ambiguous prefix lists."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution: ``status`` is Step Functions'; ``error`` and ``cause`` are of one that failed, "" otherwise."""

    name: str
    arn: str
    status: str
    started: datetime
    ended: datetime | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    cause: str = ""

    @property
    def run_id(self) -> str:
        """The run's identity in the training bucket, in job names and on the model package."""
        return layout.run_id(self.name)

    @property
    def outcome(self) -> str:
        """Promoted, AwaitingApproval or Rejected; Running; or Failed, TimedOut, Aborted."""
        return ENDINGS.get(self.status) or str(self.output.get("Outcome", self.status))

    @property
    def failed(self) -> bool:
        """Return whether the run ended without an outcome."""
        return self.outcome in {"Failed", "TimedOut", "Aborted"}

    @property
    def model_package(self) -> str:
        """The version that the run registered, or ""."""
        return str(self.output.get("ModelPackage", ""))

    def seconds(self, now: datetime) -> float:
        """How long it took, or has taken so far."""
        return ((self.ended or now) - self.started).total_seconds()

    def to_json(self) -> dict[str, Any]:
        """Return the run for programs, under AWS-style names; with the fields of the workflow's output beside them."""
        return {
            "Run": self.run_id,
            "Execution": self.name,
            "ExecutionArn": self.arn,
            "Status": self.status,
            "Outcome": self.outcome,
            "StartedAt": timestamp(self.started),
            "EndedAt": timestamp(self.ended) if self.ended else None,
            "Error": self.error or None,
            "Cause": self.cause or None,
            "Input": dict(self.input),
        } | {name: value for name, value in self.output.items() if name not in {"Run", "Outcome"}}


class Runs:
    """The executions of one state machine. Step Functions forgets an execution 90 days after its end."""

    def __init__(self, client: Any, state_machine_arn: str) -> None:
        """``client`` is a Step Functions client that retries throttled calls."""
        self._client = client
        self._state_machine_arn = state_machine_arn

    def start(self, name: str, document: Mapping[str, Any]) -> Run:
        """Start an execution; a second call with the same name and document returns the same execution.

        Raises Problem when the name belongs to another execution.
        """
        request = {"stateMachineArn": self._state_machine_arn, "name": name, "input": json.dumps(document)}
        try:
            started = self._client.start_execution(**request)
        except ClientError as error:
            # boto3 retries a throttled or lost call; a short execution may have ended by then.
            if error_code(error) != "ExecutionAlreadyExists":
                raise
            known = self.describe(f"{self._state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}")
            if known.input != document:
                raise Problem(f"There is an execution {name!r} already, with another input.", "Start again.") from error
            return known
        return Run(
            name=name, arn=started["executionArn"], status="RUNNING", started=started["startDate"], input=document
        )

    def describe(self, arn: str) -> Run:
        """Return one execution as it is now."""
        found = self._client.describe_execution(executionArn=arn)
        return Run(
            name=found["name"],
            arn=arn,
            status=found["status"],
            started=found["startDate"],
            ended=found.get("stopDate"),
            input=_document(found.get("input")),
            output=_document(found.get("output")),
            error=found.get("error") or "",
            cause=found.get("cause") or "",
        )

    def newest(self, at_most: int) -> list[Run]:
        """Return the newest runs, newest first."""
        return [self.describe(arn) for _, arn in itertools.islice(self._executions(), at_most)]

    def running(self) -> list[Run]:
        """Return the runs that have not ended."""
        return [self.describe(arn) for _, arn in self._executions(statusFilter="RUNNING")]

    def find(self, wanted: str) -> Run:
        """Return the run with this id, execution name, or beginning of an id.

        Raises ConfigProblem unless there is exactly one.
        """
        fitting: dict[str, str] = {}
        for name, arn in self._executions():
            run_id = layout.run_id(name)
            if wanted in {run_id, name}:
                return self.describe(arn)
            if run_id.startswith(wanted):
                fitting[run_id] = arn
        if len(fitting) == 1:
            return self.describe(*fitting.values())
        if fitting:
            names = ", ".join(list(fitting)[:NAMED])
            raise ConfigProblem(f"{len(fitting)} runs begin with {wanted!r}: {names}.", "Write more of it.")
        raise ConfigProblem(f"There is no run {wanted!r}.", "See `wetread runs`; ended ones are listed for 90 days.")

    def _executions(self, **conditions: str) -> Iterator[tuple[str, str]]:
        """Yield name and ARN of each execution, newest first, page by page."""
        pages = self._client.get_paginator("list_executions").paginate(
            stateMachineArn=self._state_machine_arn, **conditions
        )
        for page in pages:
            yield from ((one["name"], one["executionArn"]) for one in page["executions"])


def execution_name(purpose: str, now: datetime) -> str:
    """Return a new, unique name for an execution: its purpose, its start and a random part."""
    return f"{purpose}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _document(text: str | None) -> Mapping[str, Any]:
    """Return an execution's input or output as a JSON object; {} for any other text."""
    try:
        document = json.loads(text or "{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
