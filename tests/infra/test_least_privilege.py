"""Without any one statement of a role or of a policy for people, a request of the service is denied.

`questions.json`, written by `python -m assurance.least_privilege`, has the requests to the local cloud's IAM in the
end-to-end tests. Requests that never reach it are listed with the reason. `python -m assurance.least_privilege remove`
shows that the running service fails without a statement.
"""

from __future__ import annotations

import fnmatch

import pytest

from tests.infra.conftest import Assembly
from tests.infra.needs import Statement, allows, is_needed, requests_of, statements
from tests.infra.permissions import ASKED_FOR, PEOPLE, ROLES

PRINCIPALS = (*ROLES, *ASKED_FOR, *PEOPLE)

MISSING = "Only a read of a missing object asks for it, which no end-to-end test makes with this role."
# Role, actions, and why the local cloud's IAM gets no such request.
NOT_RECORDED = (
    ("*", "xray:*", "Traces go to a daemon that the local cloud does not have."),
    ("*", "ecr:*", "The image is not pulled: its command runs as a process."),
    ("*", "kms:[!G]*", "S3, SQS, SNS and DynamoDB keep data without requesting a key of KMS."),
    ("*", "kms:GenerateDataKey*", "S3, SQS, SNS and DynamoDB keep data without requesting a key of KMS."),
    ("*", "logs:*", "The local cloud writes logs of functions, jobs and state machines without their roles."),
    ("*", "cloudwatch:PutMetricData", "The metrics of jobs are kept without their role."),
    ("TrainingGate", "s3:ListBucket", MISSING),
    ("BatchDispatch", "s3:ListBucket", MISSING),
    ("TrainingPromote", "s3:ListBucket", MISSING),
    ("TrainingApprove", "s3:ListBucket", MISSING),
    ("PeopleApprover", "s3:ListBucket*", MISSING),
    ("BatchSweep", "s3:ListBucket*", MISSING),
    ("DeliveryDeliver", "s3:ListBucket*", MISSING),
    ("ModelJob", "s3:ListBucket", "SageMaker may list what a manifest names; the local one reads it key by key."),
    ("*", "sqs:[!S]*", "The poller of an event source takes messages without the function's role."),
)


def reasons(statement: Statement) -> list[list[str]]:
    """Return for each action of the statement the reasons why it may not be recorded."""
    return [
        [
            why
            for role, actions, why in NOT_RECORDED
            if fnmatch.fnmatchcase(statement.role, role) and fnmatch.fnmatchcase(action, actions)
        ]
        for action in statement.actions
    ]


@pytest.mark.parametrize("role", PRINCIPALS)
def test_every_recorded_request_is_allowed(whole: Assembly, role: str) -> None:
    policy = statements(whole, role)
    assert requests_of(role)
    assert not [one for one in requests_of(role) if not allows(policy, one)]


@pytest.mark.parametrize("role", PRINCIPALS)
def test_without_any_one_statement_a_request_is_denied(whole: Assembly, role: str) -> None:
    policy = statements(whole, role)
    for statement in policy:
        assert is_needed(statement, policy) or all(reasons(statement)), f"nothing needs {statement}"


@pytest.mark.parametrize("role", [*ROLES, *PEOPLE])
def test_the_default_stage_allows_nothing_that_the_whole_one_does_not(
    default: Assembly, whole: Assembly, role: str
) -> None:
    assert default.permissions(role) <= whole.permissions(role)


def test_every_reason_is_used(whole: Assembly) -> None:
    used = {
        why
        for role in PRINCIPALS
        for policy in [statements(whole, role)]
        for statement in policy
        if not is_needed(statement, policy)
        for whys in reasons(statement)
        for why in whys
    }
    assert used == {why for _, _, why in NOT_RECORDED}


@pytest.mark.parametrize("role", ["TrainingPromote", "TrainingApprove", "PeopleApprover"])
def test_nobody_who_promotes_makes_a_model_with_a_network(whole: Assembly, role: str) -> None:
    """Its image would read patients' data with the job's role, and could send them anywhere."""
    policy = statements(whole, role)
    (made,) = (one for one in requests_of(role) if one[1] == "sagemaker:CreateModel")
    assert allows(policy, made)
    for conditions in ({}, {"sagemaker:networkisolation": "false"}):
        assert not allows(policy, [*made[:3], conditions])
