"""A submission as a person sees it: bars while files go up and uploads are waited for, and names of what went wrong."""

from __future__ import annotations

from collections.abc import Sequence

from functions.domain.row import Row, Status
from wetread.connection import Connection
from wetread.console import note, printable, progress, warn
from wetread.formats import short_key
from wetread.uploads import NotSubmitted, Plan, Submitted, upload
from wetread.waiting import Waited, wait

NAMED = 20
"""How many refused, failed or pending uploads are named one by one."""


def send(connection: Connection, sending: Plan) -> tuple[list[Submitted], list[NotSubmitted]]:
    """Upload with a progress bar."""
    bucket = connection.deployment.uploads_bucket_name
    with progress() as bar:
        task = bar.add_task("Uploading", total=len(sending.sources))
        return upload(connection.s3, bucket, sending.sources, lambda: bar.advance(task))


def follow(connection: Connection, done: Sequence[Submitted], timeout: float) -> Waited:
    """Wait for uploads with a progress bar that counts them by status."""
    if connection.registry.champion() is None:
        warn("There is no champion: uploads stay Pending until `wetread model promote` names one.")
    with progress() as bar:
        task = bar.add_task("Waiting", total=len(done))

        def show(waited: Waited) -> None:
            bar.update(task, completed=len(done) - len(waited.open), description=counted(waited))

        return wait(connection.index, [one.upload_id for one in done], timeout, show)


def name_unhappy(rows: Sequence[Row]) -> None:
    """Name each refused and failed upload with its reason."""
    unhappy = [row for row in rows if row.status in {Status.REFUSED, Status.FAILED}]
    for row in unhappy[:NAMED]:
        note(f"  {row.status:<8} {printable(short_key(row.key))}  {row.code}: {printable(row.reason or '')}")
    if len(unhappy) > NAMED:
        note(f"  … and {len(unhappy) - NAMED} more: `wetread results --status Refused`, `--status Failed`.")


def counted(waited: Waited) -> str:
    """How many uploads stand where, in words."""
    return ", ".join(f"{count} {status}" for status, count in sorted(waited.counts().items()))
