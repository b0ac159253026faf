"""Show a submission: progress bars of uploading and waiting, and the names of uploads that failed."""

from __future__ import annotations

from collections.abc import Sequence

from functions.domain.row import Row, Status
from wetread.connection import Connection
from wetread.console import Bar, note, printable, warn
from wetread.formats import short_key
from wetread.uploads.sending import NotSubmitted, Plan, Submitted, upload
from wetread.uploads.waiting import Waited, wait

NAMED = 20
"""How many refused, failed or pending uploads are named one by one."""


def send(connection: Connection, sending: Plan) -> tuple[list[Submitted], list[NotSubmitted]]:
    """Upload with a progress bar."""
    bucket = connection.deployment.uploads_bucket_name
    with Bar("Uploading", len(sending.sources)) as bar:
        return upload(connection.s3, bucket, sending.sources, bar.advance)


def follow(connection: Connection, done: Sequence[Submitted], timeout: float) -> Waited:
    """Wait for uploads with a progress bar that counts them by status."""
    champion = connection.registry.champion()
    if champion is None:
        warn("There is no champion: uploads stay Pending until `wetread train` or `wetread model promote` makes one.")
    else:
        note(f"Read by {champion.model_package}: see `wetread model list` for what it is. No answer is a diagnosis.")
    with Bar("Waiting", len(done)) as bar:

        def show(waited: Waited) -> None:
            bar.show(counted(waited), len(done) - len(waited.open))

        return wait(connection.index, [one.upload_id for one in done], timeout, show)


def name_unhappy(rows: Sequence[Row]) -> None:
    """Name each refused and failed upload with its reason."""
    unhappy = [row for row in rows if row.status in {Status.REFUSED, Status.FAILED}]
    for row in unhappy[:NAMED]:
        note(f"  {row.status:<8} {printable(short_key(row.key))}  {row.code}: {printable(row.reason or '')}")
    if len(unhappy) > NAMED:
        note(f"  … and {len(unhappy) - NAMED} more: `wetread results --status Refused`, `--status Failed`.")


def counted(waited: Waited) -> str:
    """Return how many uploads have each status, in words."""
    return ", ".join(f"{count} {status}" for status, count in sorted(waited.counts().items()))
