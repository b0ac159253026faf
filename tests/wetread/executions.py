"""Step Functions' executions of the training workflow in memory."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.wire import client_error

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:wetread-training"


class Executions:
    """Step Functions: a started execution goes through ``states``, one with each look, and ends as ``ending``."""

    def __init__(self) -> None:
        self.executions: dict[str, dict[str, Any]] = {}
        self.states = ["Snapshot", "Train"]
        self.ending: dict[str, Any] = {"status": "SUCCEEDED", "output": "{}"}
        self._numbers = itertools.count()

    def add(self, name: str, **values: Any) -> str:
        """Return an execution that has ended as ``values`` say, or not; newer than all before it."""
        arn = f"{MACHINE.replace('stateMachine', 'execution')}:{name}"
        started = datetime(2026, 11, 23, 8, tzinfo=UTC) + timedelta(minutes=next(self._numbers))
        facts = {"executionArn": arn, "name": name, "startDate": started, "status": "RUNNING", "input": "{}", "at": 0}
        self.executions[arn] = facts | values
        if self.executions[arn]["status"] != "RUNNING":
            self.executions[arn].setdefault("stopDate", started + timedelta(seconds=90))
        return arn

    def start_execution(self, **request: Any) -> dict[str, Any]:
        assert request["stateMachineArn"] == MACHINE
        if request["name"] in {one["name"] for one in self.executions.values()}:
            raise client_error("ExecutionAlreadyExists", request["name"])
        arn = self.add(request["name"], input=request["input"])
        return {"executionArn": arn, "startDate": self.executions[arn]["startDate"]}

    def describe_execution(self, **request: Any) -> dict[str, Any]:
        execution = self.executions[request["executionArn"]]
        if execution["status"] == "RUNNING":
            execution["at"] += 1
            if execution["at"] > len(self.states):
                execution |= {"stopDate": execution["startDate"] + timedelta(seconds=90)} | self.ending
        return dict(execution)

    def list_executions(self, **request: Any) -> dict[str, Any]:
        wanted = request.get("statusFilter")
        newest = reversed(self.executions.values())
        return {"executions": [one for one in newest if wanted in {None, one["status"]}]}

    def get_execution_history(self, **request: Any) -> dict[str, Any]:
        assert request["reverseOrder"]
        entered = self.states[: self.executions[request["executionArn"]]["at"]]
        events: list[dict[str, Any]] = [{"type": "TaskScheduled"}]
        events += [_entered(state) for state in reversed(entered)]
        return {"events": events}


def _entered(state: str) -> dict[str, Any]:
    kind = "Fail" if state == "Failed" else "Task"
    return {"type": f"{kind}StateEntered", "stateEnteredEventDetails": {"name": state}}
