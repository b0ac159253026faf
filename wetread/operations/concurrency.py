"""The check of Lambda: what runs at once in the account against the bounds of the stage's functions and mappings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wetread.connection import Connection
from wetread.operations.check import CheckResult

PERMISSIONS = (
    "cloudformation:ListStackResources, lambda:GetAccountSettings, GetFunctionConcurrency and GetEventSourceMapping"
)
LEFT = 2
"""What a burst must leave: for dispatch, which starts jobs, and the sweep."""
QUOTA = "L-B99A9384"
"""Lambda's quota "Concurrent executions"."""
ROOMY = 100
"""The least that is asked for."""


@dataclass(frozen=True)
class Mapping:
    """What feeds a function from a queue: at most ``most`` executions at once; None where it has no bound."""

    uuid: str
    function: str
    state: str
    most: int | None


def check(connection: Connection) -> Iterator[CheckResult]:
    """Check that no function or mapping is switched off, and that a burst leaves room for what starts jobs."""
    client = connection.client("lambda")
    reserved, mappings = _deployed(connection, client)
    yield _switched_on(reserved, mappings)
    deployment = connection.deployment
    invoked = {"closers": deployment.closers - 1, "express_concurrency": deployment.express_concurrency}
    yield _has_room(client.get_account_settings()["AccountLimit"], reserved, mappings, invoked)


def _deployed(connection: Connection, client: Any) -> tuple[dict[str, int], list[Mapping]]:
    """Return the reserved concurrency of functions that have one, and the mappings of the stack."""
    reserved, mappings = {}, []
    pages = (
        connection.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=connection.stack)
    )
    for one in (one for page in pages for one in page["StackResourceSummaries"]):
        name = one.get("PhysicalResourceId", "")
        if one["ResourceType"] == "AWS::Lambda::Function":
            held = client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
            if held is not None:
                reserved[name] = held
        elif one["ResourceType"] == "AWS::Lambda::EventSourceMapping":
            found = client.get_event_source_mapping(UUID=name)
            mappings.append(
                Mapping(
                    name,
                    found["FunctionArn"].rpartition(":")[2],
                    found.get("State", ""),
                    found.get("ScalingConfig", {}).get("MaximumConcurrency"),
                )
            )
    return reserved, mappings


def _switched_on(reserved: dict[str, int], mappings: list[Mapping]) -> CheckResult:
    name = "Functions"
    stopped = [function for function, most in reserved.items() if most == 0]
    if stopped:
        commands = ", ".join(f"`aws lambda delete-function-concurrency --function-name {one}`" for one in stopped)
        return CheckResult(name, f"stopped by a reserved concurrency of 0: {', '.join(stopped)}", f"{commands}.")
    off = [one for one in mappings if one.state in {"Disabled", "Disabling"}]
    if off:
        commands = ", ".join(f"`aws lambda update-event-source-mapping --uuid {one.uuid} --enabled`" for one in off)
        functions = ", ".join(one.function for one in off)
        return CheckResult(name, f"the queue of {functions} is not read: its mapping is disabled", f"{commands}.")
    return CheckResult(name, "none is switched off")


def _has_room(account: Any, reserved: dict[str, int], mappings: list[Mapping], invoked: dict[str, int]) -> CheckResult:
    """Compare what may run at once with what its functions have, reserved or of the account.

    ``invoked`` is what settings let functions start beside the mappings; one of the closers is the sweep.
    """
    name = "Lambda concurrency"
    most: dict[str, int] = {}
    for one in mappings:
        most[one.function] = most.get(one.function, 0) + (one.most or 0)
    for function, wanted in most.items():
        if 0 < reserved.get(function, wanted) < wanted:
            return CheckResult(
                name,
                f"{function} has a reserved concurrency of {reserved[function]}, its queues may start {wanted}: the "
                "others are throttled, and their messages end as dead letters",
                f"`aws lambda put-function-concurrency --function-name {function} "
                f"--reserved-concurrent-executions {wanted}`.",
            )
    queues = sum(wanted for function, wanted in most.items() if function not in reserved)
    burst = queues + sum(invoked.values())
    beside = "".join(f", {number} by {setting}" for setting, number in invoked.items() if number)
    whole, free = account["ConcurrentExecutions"], account["UnreservedConcurrentExecutions"]
    found = f"{free} of the account's {whole} are unreserved; a burst takes up to {burst}: {queues} by queues{beside}"
    if free - burst >= LEFT:
        return CheckResult(name, found)
    settings = [setting for setting, number in invoked.items() if number]
    lower = f", lower {' or '.join(settings)}" if settings else ""
    wanted = max(ROOMY, whole + burst + LEFT - free)
    return CheckResult(
        name,
        f"{found}, and leaves {max(0, free - burst)} for the functions that start jobs",
        f"Reserve less elsewhere{lower}, or ask for more: `aws service-quotas request-service-quota-increase "
        f"--service-code lambda --quota-code {QUOTA} --desired-value {wanted}`.",
    )
