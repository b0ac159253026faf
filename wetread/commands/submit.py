"""``wetread submit``: files and folders into the uploads bucket, and, if asked, to their end."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import click

from functions.domain.row import Row, Status
from wetread.commands.session import Session, pass_session
from wetread.connection import Connection
from wetread.console import how_many, note, print_json, print_table, printable, warn
from wetread.formats import ELASTIC_COLUMNS, TABLE_COLUMNS, short_key, table_line
from wetread.problems import Problem
from wetread.uploads.sending import Plan, Submitted, plan
from wetread.uploads.submission import NAMED, counted, follow, name_unhappy, send


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--prefix", default="", help="Put this in front of every object key.")
@click.option("--wait", "waits", is_flag=True, help="Wait until each upload is completed, failed or refused.")
@click.option("--timeout", default=3600, show_default=True, type=click.IntRange(1), help="Seconds to wait at most.")
@click.option("--json", "as_json", is_flag=True, help="Print the uploads (with --wait: their rows) as JSON.")
@pass_session
def submit(session: Session, paths: tuple[Path, ...], *, prefix: str, waits: bool, timeout: int, as_json: bool) -> None:
    """Upload DICOM files. Folders are searched to the bottom; keys are the paths from the folder's name on.

    In a folder, hidden files, links, pipes, manifest.json and DICOMDIR are left out; a file that is named itself is
    always sent.
    """
    sending = plan(paths, prefix)
    connection = session.connection
    _report_skipped(sending)
    done, failed = send(connection, sending)
    note(
        f"Submitted {len(done)} of {how_many(len(sending.sources), 'file')} to s3://{connection.deployment.uploads_bucket_name}."
    )
    for one in failed[:NAMED]:
        warn(f"{printable(str(one.source.path))} was not submitted: {one.reason}")
    if waits:
        rows = _wait(session, connection, done, timeout, as_json=as_json)
        if failed or sending.unread or any(row.status != Status.COMPLETED for row in rows) or len(rows) < len(done):
            raise click.exceptions.Exit(1)
        return
    if as_json:
        print_json([{"UploadId": one.upload_id, "Key": one.source.key, "VersionId": one.version_id} for one in done])
    else:
        note("Follow them with `wetread status` and `wetread results`.")
    if failed:
        raise Problem(
            f"{len(failed)} of {len(sending.sources)} files were not submitted.", "Repair the cause, submit them again."
        )
    if sending.unread:
        raise click.exceptions.Exit(1)


def _wait(
    session: Session, connection: Connection, done: Sequence[Submitted], timeout: float, *, as_json: bool
) -> list[Row]:
    """Wait, print the outcome, name uploads that failed; return the rows that ended."""
    waited = follow(connection, done, timeout)
    # With the keys that were submitted: rows may hide them, and a person who submits may lack the right to read them.
    rows = {
        one.upload_id: dataclasses.replace(row, key=one.source.key)
        for one in done
        if (row := waited.rows.get(one.upload_id))
    }
    ended = [rows[one.upload_id] for one in done if one.upload_id not in waited.open]
    if as_json:
        print_json([row.to_json() for row in rows.values()])
    else:
        lines = [table_line(row, session.now()) for row in ended[:NAMED]]
        print_table(TABLE_COLUMNS, lines, elastic=ELASTIC_COLUMNS)
        if len(ended) > NAMED:
            note(f"The first {NAMED} of {len(ended)} are shown; ask `wetread results` for more.")
    note(f"Ended: {counted(waited)}.")
    name_unhappy(ended)
    if waited.open:
        keys = [one.source.key for one in done if one.upload_id in waited.open]
        more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
        names = ", ".join(printable(short_key(key)) for key in keys[:NAMED])
        warn(f"After {timeout:g} s {len(keys)} have not ended: {names}{more}. Look at `wetread status`, wait longer.")
    return ended


def _report_skipped(sending: Plan) -> None:
    if sending.skipped:
        names = sorted({printable(path.name) for path in sending.skipped})
        left_out = how_many(len(sending.skipped), "file")
        note(f"Left out {left_out}, by name no DICOM objects: {', '.join(names[:NAMED])}.")
    for folder in sending.unread[:NAMED]:
        warn(f"Left out the folder {str(folder)!r}: it cannot be read.")
    if len(sending.unread) > NAMED:
        warn(f"And {len(sending.unread) - NAMED} more folders.")
    if sending.irregular:
        names = sorted({printable(path.name) for path in sending.irregular})
        warn(
            f"Left out {how_many(len(sending.irregular), 'link, pipe or device', 'links, pipes or devices')}: "
            f"{', '.join(names[:NAMED])}. Name a link itself to submit what it leads to."
        )
