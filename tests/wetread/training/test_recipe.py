"""How the deployed service trains is read from its own state machine."""

import json
from types import SimpleNamespace

import pytest

from wetread.problems import ConfigProblem
from wetread.training.recipe import Recipe


def machine(states: dict[str, object]) -> SimpleNamespace:
    definition = json.dumps({"StartAt": "Begin", "States": states})
    return SimpleNamespace(describe_state_machine=lambda stateMachineArn: {"definition": definition})  # noqa: N803


def test_function_and_request_are_those_of_the_workflow() -> None:
    states = {"Snapshot": {"Arguments": {"FunctionName": "f"}}, "Train": {"Arguments": {"RoleArn": "r"}}}
    assert Recipe.read(machine(states), "arn") == Recipe("f", {"RoleArn": "r"})


def test_another_versions_workflow_is_a_reason_to_deploy() -> None:
    with pytest.raises(ConfigProblem, match=r"no 'Train'\. Deploy the version"):
        Recipe.read(machine({"Snapshot": {"Arguments": {"FunctionName": "f"}}}), "arn")
