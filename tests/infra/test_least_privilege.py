"""Each statement of each role, taken away: something that the service asks in its end-to-end tests is denied then.

`questions.json` is what the local cloud's IAM was asked in those tests (`python -m benchmarks.least_privilege` writes
it); its own evaluator answers here. What it is never asked is listed with the reason.
"""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path
from typing import Any

import pytest
from ministack.core import iam_evaluator

from tests.infra.conftest import text
from tests.infra.permissions import ROLES

QUESTIONS = json.loads((Path(__file__).parent / "questions.json").read_text())
MISSING = "The local S3 says that an object is missing to everybody, AWS's only to those who may list the bucket."
# Role, actions, and why the local cloud does not ask about them.
UNASKED = (
    ("*", "xray:*", "Traces go to a daemon that the local cloud does not have."),
    ("*", "ecr:*", "The image is not pulled: its command runs as a process."),
    ("*", "kms:[!G]*", "S3, SQS, SNS and DynamoDB keep data without asking KMS for a key."),
    ("*", "kms:GenerateDataKey*", "S3, SQS, SNS and DynamoDB keep data without asking KMS for a key."),
    ("*", "logs:*", "Whoever runs a function, a job or a state machine writes its log without its role."),
    ("*", "cloudwatch:PutMetricData", "The metrics of jobs are kept without their role."),
    ("IntakeIngest", "s3:ListBucket*", MISSING),
    ("TrainingSnapshot", "s3:ListBucket", MISSING),
    ("TrainingGate", "s3:ListBucket", MISSING),
    ("ModelJob", "s3:ListBucket", "SageMaker may list what a manifest names; the local one reads it key by key."),
    ("*", "sqs:[!S]*", "The poller of an event source takes messages without the function's role."),
)


def statements(assembly: Any, role: str) -> list[dict[str, Any]]:
    """A role's statements, with names of constructs."""

    def texts(value: Any) -> list[str]:
        return [text(one) for one in (value if isinstance(value, list) else [value])]

    return [one | {"Resource": texts(one["Resource"])} for one in assembly.statements(role)]


def asked(role: str) -> list[Any]:
    return [one for one in QUESTIONS if one[0] == f"{role}Role"]


def allows(policy: list[dict[str, Any]], question: list[Any]) -> bool:
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
    document = iam_evaluator.parse_policy_document({"Statement": policy})
    return str(iam_evaluator.evaluate(context, [document]).decision) == "Allow"


def reasons(role: str, statement: dict[str, Any]) -> list[list[str]]:
    """For each action of the statement the reasons why it may not be asked about."""
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    return [
        [why for who, what, why in UNASKED if fnmatch.fnmatchcase(role, who) and fnmatch.fnmatchcase(action, what)]
        for action in actions
    ]


@pytest.mark.parametrize("role", ROLES)
def test_the_story_asks_for_nothing_that_a_role_may_not(default: Any, role: str) -> None:
    policy = statements(default, role)
    assert asked(role)
    assert not [one for one in asked(role) if not allows(policy, one)]


@pytest.mark.parametrize("role", ROLES)
def test_without_any_one_statement_the_story_fails(default: Any, role: str) -> None:
    policy = statements(default, role)
    for number, statement in enumerate(policy):
        rest = policy[:number] + policy[number + 1 :]
        needed = any(not allows(rest, question) for question in asked(role))
        assert needed or all(reasons(role, statement)), f"nobody needs {statement}"


def test_no_reason_is_left_over(default: Any) -> None:
    used = {
        why
        for role in ROLES
        for policy in [statements(default, role)]
        for number, statement in enumerate(policy)
        if all(allows(policy[:number] + policy[number + 1 :], question) for question in asked(role))
        for whys in reasons(role, statement)
        for why in whys
    }
    assert used == {why for _, _, why in UNASKED}
