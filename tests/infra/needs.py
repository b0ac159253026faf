"""Which statements of a role are needed: without one, a recorded request of the whole story is denied.

`questions.json` has the requests to IAM; the local cloud's evaluator decides them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ministack.core import iam_evaluator

from tests.infra.conftest import Assembly, text

RECORDED = json.loads((Path(__file__).parent / "questions.json").read_text())


@dataclass(frozen=True)
class Statement:
    """A statement of a role's policy, with construct names, and its position in the policy."""

    role: str
    position: int
    document: dict[str, Any]

    @property
    def actions(self) -> list[str]:
        """Return the actions that it allows."""
        actions = self.document["Action"]
        return actions if isinstance(actions, list) else [actions]

    @property
    def resources(self) -> list[str]:
        """Return the resources that it allows them on."""
        resources: list[str] = self.document["Resource"]
        return resources


def statements(assembly: Assembly, role: str) -> list[Statement]:
    """Return a role's statements in the template's order."""

    def texts(value: Any) -> list[str]:
        return [text(one) for one in (value if isinstance(value, list) else [value])]

    documents = [one | {"Resource": texts(one["Resource"])} for one in assembly.statements(role)]
    return [Statement(role, position, document) for position, document in enumerate(documents)]


def requests_of(role: str) -> list[Any]:
    """Return the recorded requests of a role."""
    return [one for one in RECORDED if one[0] == f"{role}Role"]


def allows(policy: list[Statement], request: list[Any]) -> bool:
    """Return whether a policy allows a request."""
    _, action, resource, conditions = request
    context = iam_evaluator.EvalContext(
        principal_arn="",
        principal_type="AssumedRole",
        principal_account="",
        action=action,
        resource_arn=resource,
        region="",
        service_context=conditions,
    )
    document = iam_evaluator.parse_policy_document({"Statement": [one.document for one in policy]})
    return str(iam_evaluator.evaluate(context, [document]).decision) == "Allow"


def is_needed(statement: Statement, policy: list[Statement]) -> bool:
    """Return whether a request of the role is denied when the policy lacks the statement."""
    rest = [one for one in policy if one.position != statement.position]
    return any(not allows(rest, request) for request in requests_of(statement.role))


def needed(assembly: Assembly, role: str) -> list[Statement]:
    """Return the statements of a role that are needed."""
    policy = statements(assembly, role)
    return [one for one in policy if is_needed(one, policy)]
