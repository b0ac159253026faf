"""cdk-nag's packs, run at every synthesis; each finding is fixed, or acknowledged with a reason."""

from __future__ import annotations

from typing import Any

from aws_cdk import Acknowledgment, App, Stack, Validations
from cdk_nag import AwsSolutionsChecks, HIPAASecurityChecks
from constructs import Construct

WILDCARD = "AwsSolutions-IAM5"


def review(app: App) -> None:
    """Make the synthesis fail on every finding that is not acknowledged."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), HIPAASecurityChecks(app))


def acknowledge(scope: Construct, *rules: str, because: str) -> None:
    """Accept what ``rules`` find in ``scope`` and below, for this reason. A test fails when a finding is gone."""
    Validations.of(scope).acknowledge(*(Acknowledgment(id=rule, reason=because) for rule in rules))


def acknowledge_wildcard(scope: Construct, resource: str, *, because: str) -> None:
    """Accept that a policy in ``scope`` allows something on a pattern of resources; each pattern is one finding."""
    text = _flat(Stack.of(scope).resolve(resource))
    acknowledge(scope, f"{WILDCARD}[Resource::{text}]", because=because)


def _flat(value: Any) -> str:
    """Return a template's value as cdk-nag writes it in the name of a finding: references in angle brackets."""
    if isinstance(value, str):
        return value.replace("${", "<").replace("}", ">")
    ((function, argument),) = value.items()
    if function == "Fn::Join":
        return str(argument[0]).join(map(_flat, argument[1]))
    if function == "Fn::GetAtt":
        return f"<{'.'.join(argument)}>"
    return f"<{argument}>" if function == "Ref" else _flat(argument)
