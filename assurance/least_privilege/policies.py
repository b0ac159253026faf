"""Remove statements from policies of a running cloud, and read IAM's denials meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from assurance.least_privilege.record import LOGICAL_ID, OF_STACK
from assurance.least_privilege.stage import RoleStage
from tests.infra.needs import Statement

Denials = Callable[[], list[str]]
ALLOWED = "Allow"


@contextmanager
def without(stage: RoleStage, statement: Statement) -> Iterator[Denials]:
    """Remove the statement from the role's policy for the context; yield a function that returns the denied actions."""
    iam, role = stage.connection.client("iam"), stage.part(f"{statement.role}Role")
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    found = document["Statement"]
    if _content(found[statement.position]) != _content(statement.document):
        raise LookupError(f"Statement {statement.position} of {role} is not the template's: {statement.document}")
    rest = [one for position, one in enumerate(found) if position != statement.position]

    def put(statements: list[Any]) -> None:
        changed = json.dumps(document | {"Statement": statements})
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=changed)

    start = stage.record.stat().st_size
    put(rest)
    try:
        yield lambda: _denied(stage, statement.role, start)
    finally:
        put(found)


def _content(statement: dict[str, Any]) -> tuple[Any, ...]:
    """Return a statement's content without the names of a deployment."""
    resources = statement["Resource"]
    number = len(resources) if isinstance(resources, list) else 1
    return statement["Effect"], statement["Action"], statement.get("Condition"), number


def _denied(stage: RoleStage, role: str, start: int) -> list[str]:
    """Return the actions denied to the role since the record had ``start`` bytes, each once."""
    with stage.record.open("rb") as record:
        record.seek(start)
        lines = record.read().rpartition(b"\n")[0].splitlines()  # the last line may be incomplete
    asked = (json.loads(line) for line in lines)
    denied = [one for one in asked if one["decision"] != ALLOWED]
    of_role = [one for one in denied if LOGICAL_ID.sub("", one["principal_keys"].get(OF_STACK, "")) == f"{role}Role"]
    return list(dict.fromkeys(one["action"] for one in of_role))
