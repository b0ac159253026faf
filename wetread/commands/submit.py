"""``wetread submit``: files and folders into the uploads bucket, and, if asked, to their end."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import click
from botocore.exceptions import BotoCoreError, ClientError

from functions.domain.instance import Served
from functions.domain.row import Row, Status
from wetread.commands.session import Session, pass_session
from wetread.connection import Connection
from wetread.console import Bar, how_many, note, print_json, print_table, printable, warn
from wetread.formats import ELASTIC_COLUMNS, TABLE_COLUMNS, short_key, table_line
from wetread.operations import quotas
from wetread.problems import ConfigProblem, Interruption, Problem, in_words
from wetread.studies.following import follow_studies, marked_studies
from wetread.uploads.markers import Marked, Sent, send_markers, whole_studies
from wetread.uploads.planning import Candidate, Plan, plan
from wetread.uploads.sending import Outcome, Submitted, Uploader, send
from wetread.uploads.sorting import Group, Unsent
from wetread.uploads.submission import (
    NAMED,
    counted,
    follow,
    is_for_others,
    name_sentences,
    name_unhappy,
    name_unsent,
    sent_before,
    warn_of_synthetic,
)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False))
@click.option("--prefix", default="", help="Put this in front of every object key.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Send nothing: list what would be sent and what not.")
@click.option("--again", is_flag=True, help="Send also what this machine has sent before.")
@click.option("--wait", "waits", is_flag=True, help="Wait until each upload is completed, failed or refused.")
@click.option("--timeout", default=3600, show_default=True, type=click.IntRange(1), help="Seconds to wait at most.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the uploads (with --wait: their rows; in a dry run: their keys) as JSON.",
)
@pass_session
def submit(
    session: Session,
    paths: tuple[Path, ...],
    *,
    prefix: str,
    is_dry: bool,
    again: bool,
    waits: bool,
    timeout: int,
    as_json: bool,
) -> None:
    """Upload DICOM files.

    Folders are searched to the bottom, .zip and .gz files are opened; keys are the paths from the folder's name on.
    What is not DICOM is never sent. In folders and archives, hidden files, links that lead out, pipes, manifest.json,
    DICOMDIR, and objects that are not for this service are left out.

    After the last file of a study a marker is sent that names its objects: then the study is read without waiting for
    more. What this machine has sent before is not sent again. Exit codes: 0 all that is for this service was sent (with
    --wait: and read); 1 something could not be sent, or was refused or failed; 2 there was nothing to send.
    """
    planned = plan(paths, prefix)
    if is_dry:
        outcome = _looked_at(planned.candidates, _served(session))
        unsent = [*planned.unsent, *outcome.unsent]
        name_unsent(unsent)
        note(f"A dry run: {how_many(len(outcome.fitting), 'file')} would be sent, none was.")
        if as_json:
            print_json([{"Key": one.candidate.source.key} for one in outcome.fitting])
        _check(unsent, len(outcome.fitting))
        return
    connection = session.connection
    if planned.candidates:
        _warn_of_quotas(connection)
    outcome, marked = _send(session, planned, prefix, again=again)
    unsent = [*planned.unsent, *outcome.unsent]
    name_unsent(unsent)
    _count(outcome.done, f"s3://{connection.deployment.uploads_bucket_name}")
    _say_marked(outcome, marked)
    if waits and outcome.done:
        rows = _wait(session, connection, outcome.done, marked.sent, timeout, as_json=as_json)
        unread = [row for row in rows if row.status != Status.COMPLETED and not is_for_others(row)]
        if unread or len(rows) < len(outcome.done):
            raise click.exceptions.Exit(1)
    elif as_json:
        print_json([{"UploadId": one.upload_id, "Key": one.key, "VersionId": one.version_id} for one in outcome.done])
    elif outcome.done:
        note("Follow them with `wetread status`, `wetread results` and `wetread studies`.")
    _check(unsent, len(outcome.done))


def _warn_of_quotas(connection: Connection) -> None:
    """Say beforehand that no job can start: uploads are kept, and wait for the quota."""
    try:
        for shortage in quotas.hopeless(connection, "transform job"):
            warn(f"{shortage.what} What is sent is kept, and waits until the quota is raised. {shortage.remedy}")
    except (BotoCoreError, ClientError):
        return  # A sender need not be allowed to ask; `wetread doctor` says why there is no answer.


def _served(session: Session) -> Served | None:
    """Return what the deployment serves, for a dry run; None, with a warning, where it cannot be asked."""
    try:
        served = session.connection.deployment.served
    except Exception as error:
        problem = in_words(error)
        if not isinstance(problem, Problem):
            raise
        warn(f"What the service takes in is not known: every DICOM object counts as sent. {problem.message}")
        return None
    if served is None:
        warn("The stack does not say what it takes in: every DICOM object counts as sent. Deploy this version.")
    return served


def _looked_at(candidates: Sequence[Candidate], served: Served | None) -> Outcome:
    with Bar("Looking", len(candidates)) as bar:
        return send(candidates, served, None, bar.advance)


def _send(session: Session, planned: Plan, prefix: str, *, again: bool) -> tuple[Outcome, Marked]:
    """Send with a progress bar, then the markers of whole studies.

    Raises Interruption for Ctrl-C, once what is on its way has arrived.
    """
    connection = session.connection
    deployment = connection.deployment
    sent = sent_before(deployment, session.now().timestamp())
    uploader = Uploader(connection.s3, deployment.uploads_bucket_name, sent, again=again)
    try:
        with Bar("Uploading", len(planned.candidates)) as bar:
            outcome = send(planned.candidates, deployment.served, uploader, bar.advance)
        if any(one.group.fails for one in planned.unsent):  # of which study is not known
            outcome = dataclasses.replace(outcome, unfinished=outcome.unfinished | {""})
        whole = whole_studies(outcome)
        with Bar("Marking", len(whole)) as bar:
            return outcome, send_markers(uploader, whole, prefix, bar.advance)
    except KeyboardInterrupt:
        raise Interruption("What was sent stays sent; the same command sends what is left.") from None
    finally:
        if sent:
            sent.close()
            if sent.unwritten:
                warn(
                    f"{how_many(sent.unwritten, 'object')} sent but not recorded: a repeated command sends them again."
                )


def _say_marked(outcome: Outcome, marked: Marked) -> None:
    """Say which studies are read at once, and which when they are quiet."""
    if marked.sent:
        number = how_many(len(marked.sent), "study", "studies")
        note(f"{number} marked as whole: read as soon as all uploads have ended.")
    if outcome.unfinished:
        note("A study with a file that was not sent is read when nothing more has come for a while.")
    for reason in marked.failed[:1]:
        number = how_many(len(marked.failed), "marker")
        warn(f"{number} not sent; these studies are read when they are quiet. {reason}")


def _count(done: Sequence[Submitted], bucket: str) -> None:
    again = sum(one.again for one in done)
    note(f"Submitted {how_many(len(done) - again, 'file')} to {bucket}.")
    if again:
        note(f"{how_many(again, 'file')} sent before, byte for byte, and not again (--again sends them).")
    odd = [printable(one.key) for one in done if not one.key.isprintable()]
    if odd:
        warn(f"Control characters in {how_many(len(odd), 'key')}: {', '.join(odd[:NAMED])}.")


def _check(unsent: Sequence[Unsent], sent: int) -> None:
    """End with 1 if something could not be sent, with 2 if no DICOM object was found at all."""
    if any(one.group.fails for one in unsent):
        raise click.exceptions.Exit(1)
    if not sent and not any(one.group == Group.NOT_SERVED for one in unsent):
        raise ConfigProblem("There is nothing to submit: no DICOM object lies below the given paths.", "Check them.")


def _wait(
    session: Session,
    connection: Connection,
    done: Sequence[Submitted],
    markers: Sequence[Sent],
    timeout: float,
    *,
    as_json: bool,
) -> list[Row]:
    """Wait, print the outcome, name uploads that failed, show the studies; return the rows that ended."""
    deadline = time.monotonic() + timeout
    waited = follow(connection, done, timeout)
    # With the keys that were submitted: rows may hide them, and a person who submits may lack the right to read them.
    rows = {
        one.upload_id: dataclasses.replace(row, key=one.key) for one in done if (row := waited.rows.get(one.upload_id))
    }
    ended = [rows[one.upload_id] for one in done if one.upload_id not in waited.open]
    if as_json:
        print_json([row.to_json() for row in rows.values()])
    else:
        lines = [table_line(row, session.now()) for row in ended[:NAMED]]
        print_table(TABLE_COLUMNS, lines, elastic=ELASTIC_COLUMNS)
        if len(ended) > NAMED:
            note(f"The first {NAMED} of {len(ended)} are shown; `wetread results --limit {len(ended)}` shows more.")
    note(f"Ended: {counted(waited)}.")
    name_unhappy(ended)
    if not as_json:
        name_sentences(ended)
    warn_of_synthetic(ended)
    if waited.open:
        keys = [one.key for one in done if one.upload_id in waited.open]
        more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
        names = ", ".join(printable(short_key(key)) for key in keys[:NAMED])
        warn(f"After {timeout:g} s {len(keys)} have not ended: {names}{more}. Look at `wetread status`, wait longer.")
    elif not as_json and (studies := marked_studies(done, waited.rows, markers)):
        follow_studies(connection, studies, markers, lambda: deadline - time.monotonic(), session.now)
    return ended
