"""Which statements of a role something needs: without one, a recorded question of the whole story is denied.

The local cloud's own evaluator answers the questions of `questions.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ministack.core import iam_evaluator

from tests.infra.conftest import Assembly, text

QUESTIONS = json.loads((Path(__file__).parent / "questions.json").read_text())


@dataclass(frozen=True)
class Statement:
    """A statement of a role's policy: its place there, and the statement itself with names of constructs."""

    role: str
    position: int
    document: dict[str, Any]

    @property
    def actions(self) -> list[str]:
        """What it allows."""
        actions = self.document["Action"]
        return actions if isinstance(actions, list) else [actions]

    @property
    def resources(self) -> list[str]:
        """On what."""
        resources: list[str] = self.document["Resource"]
        return resources


def statements(assembly: Assembly, role: str) -> list[Statement]:
    """A role's statements, in the template's order."""

    def texts(value: Any) -> list[str]:
        return [text(one) for one in (value if isinstance(value, list) else [value])]

    documents = [one | {"Resource": texts(one["Resource"])} for one in assembly.statements(role)]
    return [Statement(role, position, document) for position, document in enumerate(documents)]


def asked(role: str) -> list[Any]:
    """The questions about a role."""
    return [one for one in QUESTIONS if one[0] == f"{role}Role"]


def allows(policy: list[Statement], question: list[Any]) -> bool:
    """Whether a policy answers a question with yes."""
    _, action, resource, conditions = question
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
    """Whether a question about the role is denied when the policy lacks the statement."""
    rest = [one for one in policy if one.position != statement.position]
    return any(not allows(rest, question) for question in asked(statement.role))


def needed(assembly: Assembly, role: str) -> list[Statement]:
    """The statements of a role that something needs."""
    policy = statements(assembly, role)
    return [one for one in policy if is_needed(one, policy)]
