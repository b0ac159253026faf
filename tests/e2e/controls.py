"""Control a running service from outside: its functions' settings, a sweep at once, their logs."""

from __future__ import annotations

from tests.e2e.conftest import Service


def function(service: Service, name: str) -> str:
    """Return the function's name in this deployment."""
    pages = service.connection.client("lambda").get_paginator("list_functions").paginate()
    (found,) = [one["FunctionName"] for page in pages for one in page["Functions"] if name in one["FunctionName"]]
    return str(found)


def configure(service: Service, name: str, **variables: str) -> dict[str, str]:
    """Change environment variables of a function; return the earlier ones."""
    functions, physical = service.connection.client("lambda"), function(service, name)
    known: dict[str, str] = functions.get_function_configuration(FunctionName=physical)["Environment"]["Variables"]
    functions.update_function_configuration(FunctionName=physical, Environment={"Variables": known | variables})
    return {variable: known[variable] for variable in variables}


def sweep(service: Service) -> None:
    """Sweep now, instead of waiting for the schedule."""
    service.connection.client("lambda").invoke(FunctionName=function(service, "Sweep"))


def log(service: Service, name: str) -> str:
    """Return all lines of a function's log."""
    groups = service.connection.logs.describe_log_groups()["logGroups"]
    (group,) = [one["logGroupName"] for one in groups if name in one["logGroupName"]]
    pages = service.connection.logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    return "\n".join(event["message"] for page in pages for event in page["events"])
