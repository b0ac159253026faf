"""A definition is refused for a field that Step Functions does not know, as CreateStateMachine does on AWS."""

from __future__ import annotations

import json

import pytest

from localcloud.states.fields import refusal

SYNC = "arn:aws:states:::sagemaker:createTrainingJob.sync"


def _task(resource, arguments, member="Arguments"):
    return {"Type": "Task", "Resource": resource, member: arguments, "End": True}


def _refusal(states):
    return refusal(json.dumps({"StartAt": next(iter(states)), "States": states}))


@pytest.mark.parametrize("member", ["Arguments", "Parameters"])
def test_a_field_that_only_sagemaker_knows_is_refused_with_its_path(member):
    task = _task(SYNC, {"TrainingJobName": "a", "RetryStrategy": {"MaximumRetryAttempts": 1}}, member)
    assert _refusal({"Train it": task}) == (
        'Invalid State Machine Definition: \'SCHEMA_VALIDATION_FAILED: The field "RetryStrategy" is not supported by '
        f"Step Functions at /States/Train it/{member}'"
    )


@pytest.mark.parametrize(
    "resource",
    [
        SYNC.removesuffix(".sync"),
        "arn:aws:states:::sagemaker:createProcessingJob.sync",
        "arn:aws:states:::sagemaker:createTransformJob.sync",
        "arn:aws:states:::lambda:invoke",
        "arn:aws:states:::sns:publish",
    ],
)
def test_each_integration_refuses_a_field_with_a_typing_error(resource):
    assert '"AtttributeNames"' in (_refusal({"Do": _task(resource, {"AtttributeNames": []})}) or "")


def test_tasks_inside_branches_and_maps_are_checked_too():
    inner = {"StartAt": "Train", "States": {"Train": _task(SYNC, {"RetryStrategy": {}})}}
    assert "/States/Both/Branches[0]/States/Train/Arguments" in (
        _refusal({"Both": {"Type": "Parallel", "Branches": [inner], "End": True}}) or ""
    )
    assert "/States/Each/ItemProcessor/States/Train/Arguments" in (
        _refusal({"Each": {"Type": "Map", "ItemProcessor": inner, "End": True}}) or ""
    )


def test_known_fields_expressions_and_other_states_pass():
    assert (
        _refusal({"Train": _task(SYNC, {"TrainingJobName.$": "$.name", "CheckpointConfig": {}}, "Parameters")}) is None
    )
    assert _refusal({"Train": _task(SYNC, "{% $request %}")}) is None
    assert _refusal({"Pass": {"Type": "Pass", "Parameters": {"RetryStrategy": 1}, "End": True}}) is None


def test_create_and_update_refuse_an_unknown_field_by_name(client, machine):
    states = client("stepfunctions")
    wrong = {"Train": _task(SYNC, {"RetryStrategy": {"MaximumRetryAttempts": 1}})}
    with pytest.raises(states.exceptions.InvalidDefinition, match=r"RetryStrategy.* at /States/Train/Arguments"):
        machine(wrong)
    arn = machine({"Pass": {"Type": "Pass", "End": True}})
    definition = json.dumps({"QueryLanguage": "JSONata", "StartAt": "Train", "States": wrong})
    with pytest.raises(states.exceptions.InvalidDefinition, match="RetryStrategy"):
        states.update_state_machine(stateMachineArn=arn, definition=definition)
