from __future__ import annotations

import json

import pytest

ENDS = {
    "ExecutionsSucceeded": {"Type": "Succeed"},
    "ExecutionsFailed": {"Type": "Fail", "Error": "Bad"},
    "ExecutionsTimedOut": {"Type": "Wait", "Seconds": 60, "End": True},
    "ExecutionsAborted": {"Type": "Wait", "Seconds": 60, "End": True},
}


@pytest.mark.parametrize("metric", ENDS)
def test_each_end_of_an_execution_is_counted_for_its_state_machine(client, role, name, total, until, metric):
    states = client("stepfunctions")
    definition = {"StartAt": "Only", "States": {"Only": ENDS[metric]}, "QueryLanguage": "JSONata"}
    limit = {"TimeoutSeconds": 1} if metric == "ExecutionsTimedOut" else {}
    machine = states.create_state_machine(
        name=name, definition=json.dumps(definition | limit), roleArn=role("states.amazonaws.com")
    )["stateMachineArn"]
    execution = states.start_execution(stateMachineArn=machine)["executionArn"]
    if metric == "ExecutionsAborted":
        states.stop_execution(executionArn=execution)
    until(lambda: total("AWS/States", metric, StateMachineArn=machine) == 1)
    others = [one for one in ENDS if one != metric]
    assert [total("AWS/States", one, StateMachineArn=machine) for one in others] == [None] * 3
    assert total("AWS/States", "ExecutionsStarted", StateMachineArn=machine) == 1
