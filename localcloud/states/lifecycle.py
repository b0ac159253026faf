"""Executions from start to end: run with the role's session, timed out, stopped, and ended once.

The emulator lets a stopped execution fail later, retries its tasks, leaves its jobs running, ignores a state machine's
TimeoutSeconds, and sends no event of an execution that a restart has failed.
"""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import Callable
from typing import Any

from localcloud.account import in_account
from localcloud.patches.patching import emulator, replace
from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.roles import assumed
from localcloud.states.execution import Execution, ExecutionEnded, current, working_for

PRINCIPAL = "states.amazonaws.com"
_INTERRUPTED = ("States.Runtime", "The local cloud ended while this execution ran. Start it again.")


class Lifecycle:
    """The running executions."""

    def __init__(self) -> None:
        self._running: dict[str, Execution] = {}
        self._lock = threading.Lock()

    def install(self) -> None:
        """Wrap the run, stop, failure and restoring of an execution, and its waits."""
        emulator("services.stepfunctions", "_executions", "_state_machines", "_add_event", "now_iso")
        emulator("services.stepfunctions", "_emit_execution_status_event")
        replace("services.stepfunctions", "_run_execution", ("exec_arn",), self._run)
        replace("services.stepfunctions", "_stop_execution", ("data",), self._stop)
        replace("services.stepfunctions", "_fail_execution", ("execution", "error", "cause"), _fail_once)
        replace("services.stepfunctions", "_scaled_sleep", ("seconds",), _interruptible)
        replace("services.stepfunctions", "_restore_state", ("data",), _failing_interrupted)

    def close(self) -> None:
        """End all threads at once: the next start fails their executions and jobs."""
        with self._lock:
            running = list(self._running.values())
        for execution in running:
            execution.end(abandoned=True)

    def _run(self, original: Callable[..., Any]) -> Callable[..., Any]:
        states = emulator("services.stepfunctions")

        def run_execution(exec_arn: str) -> None:
            record = states._executions.get(exec_arn)
            machine = states._state_machines.get(record["stateMachineArn"]) if record else None
            if machine is None:
                original(exec_arn)
                return
            try:
                with assumed(machine["roleArn"], record["name"], PRINCIPAL) as session:
                    self._run_with(Execution(record, session), machine, original)
            except ServiceError as error:
                states._fail_execution(record, "States.Runtime", error.message)

        return run_execution

    def _run_with(self, execution: Execution, machine: dict[str, Any], original: Callable[..., Any]) -> None:
        arn = execution.record["executionArn"]
        with self._lock:
            self._running[arn] = execution
        timer = _timer(execution, machine)
        try:
            with working_for(execution):
                original(arn)
        except ExecutionEnded:
            return
        finally:
            if timer is not None:
                timer.cancel()
            with self._lock:
                del self._running[arn]

    def _stop(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def stop_execution(data: dict[str, Any]) -> Any:
            answer = original(data)
            with self._lock:
                execution = self._running.get(data.get("executionArn", ""))
            if answer[0] == 200 and execution is not None:
                execution.end()
            return answer

        return stop_execution


def _timer(execution: Execution, machine: dict[str, Any]) -> threading.Timer | None:
    """Start a timer that ends the execution after the TimeoutSeconds of its state machine; None without a limit."""
    seconds = json.loads(machine["definition"]).get("TimeoutSeconds")
    if seconds is None:
        return None
    context = contextvars.copy_context()
    timer = threading.Timer(float(seconds), lambda: context.run(_time_out, execution))
    timer.daemon = True
    timer.start()
    return timer


def _time_out(execution: Execution) -> None:
    states = emulator("services.stepfunctions")
    record = execution.record
    if record["status"] != "RUNNING":
        return
    record.update(status="TIMED_OUT", stopDate=states.now_iso())
    states._add_event(record, "ExecutionTimedOut", {"executionTimedOutEventDetails": {}})
    states._emit_execution_status_event(record)
    execution.end()


def _fail_once(original: Callable[..., Any]) -> Callable[..., Any]:
    def fail_execution(execution: dict[str, Any], error: str, cause: str) -> None:
        if execution["status"] != "RUNNING":
            return
        original(execution, error, cause)
        execution["output"] = None  # AWS describes an execution that failed by its error and cause alone

    return fail_execution


def _interruptible(original: Callable[..., Any]) -> Callable[..., Any]:
    def scaled_sleep(seconds: float) -> None:
        execution = current()
        if execution is None:
            original(seconds)
        else:
            execution.pause(seconds)

    return scaled_sleep


def _failing_interrupted(original: Callable[..., Any]) -> Callable[..., Any]:
    states = emulator("services.stepfunctions")

    def restore_state(data: dict[str, Any]) -> None:
        saved = data.get("executions") if data else None
        ran = [execution for execution in saved.all_values() if execution["status"] == "RUNNING"] if saved else []
        original(data)
        with in_account():
            for execution in ran:
                execution["status"] = "RUNNING"  # the emulator has already changed it
                states._fail_execution(execution, *_INTERRUPTED)

    return restore_state
