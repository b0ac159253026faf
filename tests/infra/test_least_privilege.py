"""Each statement of each role and of each policy for people, taken away: something is denied that is asked then.

`questions.json` is what the local cloud's IAM was asked in the end-to-end tests (`python -m assurance.least_privilege`
writes it). What it is never asked is listed with the reason. That the running service fails then is seen by
`python -m assurance.least_privilege remove`.
"""

from __future__ import annotations

import fnmatch

import pytest

from tests.infra.conftest import Assembly
from tests.infra.needs import Statement, allows, asked, is_needed, statements
from tests.infra.permissions import PEOPLE, ROLES

EVERYBODY = (*ROLES, *PEOPLE)

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
    ("PeopleApprover", "s3:ListBucket*", MISSING),
    ("ModelJob", "s3:ListBucket", "SageMaker may list what a manifest names; the local one reads it key by key."),
    ("*", "sqs:[!S]*", "The poller of an event source takes messages without the function's role."),
)


def reasons(statement: Statement) -> list[list[str]]:
    """For each action of the statement the reasons why it may not be asked about."""
    return [
        [
            why
            for who, what, why in UNASKED
            if fnmatch.fnmatchcase(statement.role, who) and fnmatch.fnmatchcase(action, what)
        ]
        for action in statement.actions
    ]


@pytest.mark.parametrize("role", EVERYBODY)
def test_the_story_asks_for_nothing_that_a_role_may_not(default: Assembly, role: str) -> None:
    policy = statements(default, role)
    assert asked(role)
    assert not [one for one in asked(role) if not allows(policy, one)]


@pytest.mark.parametrize("role", EVERYBODY)
def test_without_any_one_statement_something_is_denied(default: Assembly, role: str) -> None:
    policy = statements(default, role)
    for statement in policy:
        assert is_needed(statement, policy) or all(reasons(statement)), f"nobody needs {statement}"


def test_no_reason_is_left_over(default: Assembly) -> None:
    used = {
        why
        for role in EVERYBODY
        for policy in [statements(default, role)]
        for statement in policy
        if not is_needed(statement, policy)
        for whys in reasons(statement)
        for why in whys
    }
    assert used == {why for _, _, why in UNASKED}


@pytest.mark.parametrize("role", ["TrainingPromote", "TrainingApprove", "PeopleApprover"])
def test_nobody_who_promotes_makes_a_model_with_a_network(default: Assembly, role: str) -> None:
    """Its image would read patients' data with the job's role, and could send them anywhere."""
    policy = statements(default, role)
    (made,) = (one for one in asked(role) if one[1] == "sagemaker:CreateModel")
    assert allows(policy, made)
    for conditions in ({}, {"sagemaker:networkisolation": "false"}):
        assert not allows(policy, [*made[:3], conditions])
