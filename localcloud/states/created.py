"""Checks of a state machine's role and fields when the machine is created or changed, which the emulator lacks.

Step Functions must be able to assume the role. The role must be able to make the rules that report the ends of `.sync`
jobs.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from localcloud.account import ACCOUNT_ID, REGION
from localcloud.patches.patching import emulator, replace, replace_handler
from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.roles import assumed, check_trust
from localcloud.states import fields
from localcloud.states.jobs import KINDS
from localcloud.states.lifecycle import PRINCIPAL
from localcloud.states.tasks import PREFIX

_RULE_ACTIONS = ("events:PutTargets", "events:PutRule", "events:DescribeRule")


def install() -> None:
    """Check role and fields whenever a state machine is created or updated, by the API or by CloudFormation."""
    emulator("services.stepfunctions", "error_response_json", "_state_machines")
    emulator("services.cloudformation.provisioners", "_sfn_definition")
    replace("services.stepfunctions", "_create_state_machine", ("data",), _checked_request)
    replace("services.stepfunctions", "_update_state_machine", ("data",), _checked_request)
    replace_handler("AWS::StepFunctions::StateMachine", "create", _checked_resource)


def refusal(role_arn: str, definition: str) -> str | None:
    """Return why AWS refuses this role for this definition, or None."""
    try:
        check_trust(role_arn, PRINCIPAL)
    except ServiceError:
        return (
            f"Neither the global service principal {PRINCIPAL}, nor the regional one is authorized to assume the "
            "provided role."
        )
    rules = {
        kind.rule for action, kind in KINDS.items() if f"{PREFIX}sagemaker:{action}.sync" in _resources(definition)
    }
    enforce = emulator("core.iam_evaluator", "enforce").enforce
    with assumed(role_arn, uuid.uuid4().hex, PRINCIPAL) as session:
        for rule in sorted(rules):
            arn = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/{rule}"
            for action in _RULE_ACTIONS:
                if enforce(session.access_key, action, "events", REGION, resource_arn=arn) is not None:
                    return f"'{role_arn}' is not authorized to create managed-rule."
    return None


def _resources(definition: str) -> set[str]:
    """Return the Resources of all states, at any depth."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("Resource"), str):
                yield value["Resource"]
            for member in value.values():
                yield from walk(member)
        elif isinstance(value, list):
            for member in value:
                yield from walk(member)

    try:
        return set(walk(json.loads(definition)))
    except ValueError:
        return set()  # the operation itself reports what is wrong with it


def _checked_request(original: Callable[..., Any]) -> Callable[..., Any]:
    states = emulator("services.stepfunctions")

    def operate(data: dict[str, Any]) -> Any:
        known = states._state_machines.get(data.get("stateMachineArn")) or {}
        role, definition = data.get("roleArn", known.get("roleArn")), data.get("definition", known.get("definition"))
        unknown = fields.refusal(definition) if definition else None
        if unknown:
            return states.error_response_json("InvalidDefinition", unknown, 400)
        reason = refusal(role, definition) if role and definition else None
        return states.error_response_json("AccessDeniedException", reason, 400) if reason else original(data)

    return operate


def _checked_resource(original: Callable[..., Any]) -> Callable[..., Any]:
    definition_of = emulator("services.cloudformation.provisioners")._sfn_definition

    def create(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        definition = definition_of(properties)
        reason = fields.refusal(definition) or refusal(properties["RoleArn"], definition)
        if reason:
            raise ValueError(f'Resource handler returned message: "{reason}"')
        return original(logical_id, properties, stack_name)

    return create
