"""``wetread status``: one look at the whole service."""

from __future__ import annotations

from datetime import datetime

import click

from functions.domain.row import Status, timestamp
from wetread.commands.session import Session, pass_session
from wetread.connection import Connection
from wetread.console import how_many, note, print_json, print_table, warn
from wetread.formats import ago, span
from wetread.operations.service_status import ServiceStatus, read_status
from wetread.training.following import state_of


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@pass_session
def status(session: Session, *, as_json: bool) -> None:
    """Show uploads by status, slots and their jobs, training runs, the champion, the endpoint and dead letters."""
    service = read_status(session.connection, session.now())
    if as_json:
        print_json(service.to_json(session.now()))
    else:
        _print(session.connection, service, session.now())


def _print(connection: Connection, service: ServiceStatus, now: datetime) -> None:
    print_table(("Status", "Uploads"), ((one, str(count)) for one, count in service.uploads.items()), title="Uploads")
    print_table(("Slot", "Batch", "Status", "Lane", "Job or run", "Since"), _slot_lines(service, now), title="Slots")
    if service.training:
        lines = [
            (run.run_id, state_of(connection.stepfunctions, run.arn), span(run.seconds(now)))
            for run in service.training
        ]
        print_table(("Run", "State", "Since"), lines, title="Training")
    _say_what_waits(service, now)
    if service.champion:
        note(f"Champion: {service.champion.model_package}, promoted {ago(service.champion.promoted_at, now)} ago.")
    elif service.training:
        run_id = service.training[0].run_id
        warn(f"There is no champion, so nothing is read; a run is making one: `wetread runs {run_id}`.")
    else:
        warn("There is no champion, so nothing is read: train a model (`wetread train --help`), or promote one.")
    if service.endpoint:
        endpoint = service.endpoint
        warn(
            f"Endpoint {endpoint.name} ({endpoint.hosting}) is {endpoint.status} with {endpoint.serves} since "
            f"{ago(timestamp(endpoint.created_at), now)} and costs money: end it with `wetread endpoint down`."
        )
    for queue, number in service.dead_letters.items():
        if number:
            warn(f"{how_many(number, 'message')} in dead-letter queue {queue}: look, repair the cause, redrive them.")
    if service.webhook and service.undelivered is None:
        note("What the webhook did not take is not counted: that needs the policy of examiners.")
    if service.undelivered:
        warn(
            f"{how_many(service.undelivered, 'event')} of studies that the webhook did not take, in the queue "
            "WebhookDeadLetters: see docs/operations.md, QueueDeadLetters."
        )


def _say_what_waits(service: ServiceStatus, now: datetime) -> None:
    if service.oldest_pending:
        note(f"The oldest pending upload has waited for {ago(service.oldest_pending, now)}.")
    if service.open_studies.number:
        oldest = f", the oldest for {ago(service.oldest_study, now)}" if service.oldest_study else ""
        note(f"Studies that are open: {service.open_studies}{oldest}. See `wetread studies --open`.")
    if service.oldest_received:
        row = service.oldest_received
        how = f"ended with {row.code}" if row.code else "was cut off"
        warn(
            f"Uploads are tried again ({service.uploads[Status.RECEIVED]}); the oldest arrived "
            f"{ago(row.received_at, now)} ago, and its last try {how}. See `wetread results --status received`."
        )
    for batch in service.without_host(now):
        warn(
            f"Batch {batch.batch_id} has had no host for {ago(batch.created_at, now)}: SageMaker starts no job now. "
            "Its uploads wait; do not send them again. `wetread doctor` says whether a quota is too small."
        )
    if service.express_per_day:
        note(f"Express lane: {service.runs_today:,} of {service.express_per_day:,} runs of today (UTC) were started.")
    if service.jobs_today >= service.max_jobs_per_day:
        warn(
            f"All {service.max_jobs_per_day:,} jobs of today (UTC) are used up (the setting max_jobs_per_day): pending "
            "uploads wait until 00:00 UTC."
        )


def _slot_lines(service: ServiceStatus, now: datetime) -> list[tuple[str, ...]]:
    return [
        (str(number), "-", "free", "-", "-", "-")
        if batch is None
        else (
            str(number),
            batch.batch_id,
            batch.status,
            batch.lane,
            service.job_name(batch),
            ago(batch.created_at, now),
        )
        for number, batch in enumerate(service.slots)
    ]
