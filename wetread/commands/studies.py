"""``wetread studies``: the reads of studies, newest first; or UID in full."""

from __future__ import annotations

from pathlib import Path

import click

from functions.domain.study import Study
from wetread.commands.session import Session, pass_session
from wetread.commands.unknown import refuse_unknown_class
from wetread.connection import Connection
from wetread.console import how_many, note, print_json, warn
from wetread.problems import ConfigProblem
from wetread.studies.answers import Answer, newest, revision_of, study_of
from wetread.studies.closing import close_now
from wetread.studies.saving import save
from wetread.studies.table import print_answers, print_read, why_none


@click.command()
@click.argument("uid", required=False)
@click.option("--class", "label", help="Only those that were read as this class.")
@click.option(
    "--since", "earliest", help="Only those closed since; with --open: opened since. 90m, 2h, 7d, 2026-11-23."
)
@click.option("--open", "only_open", is_flag=True, help="Only those of which more is awaited.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="At most so many studies.")
@click.option("--revision", type=click.IntRange(1), help="With UID: this revision instead of the last one.")
@click.option(
    "--save",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="With UID: save the document, and DICOM results if there are any, in this folder.",
)
@click.option("--close", "closes", is_flag=True, help="With UID: say that all of it is there, so that it is closed.")
@click.option("--json", "as_json", is_flag=True, help="Print the documents as JSON.")
@pass_session
def studies(
    session: Session,
    *,
    uid: str | None,
    label: str | None,
    earliest: str | None,
    only_open: bool,
    limit: int,
    revision: int | None,
    folder: Path | None,
    closes: bool,
    as_json: bool,
) -> None:
    """Show the reads of studies, newest first; or UID in full: preliminary words of a model, never a diagnosis.

    UID is a StudyInstanceUID, as the file or a row says it. A study is open while more of it is awaited; what comes
    after it was closed makes one more revision.
    """
    if uid is None and (revision or folder or closes):
        raise ConfigProblem("--revision, --save and --close belong to one study.", "Add its StudyInstanceUID.")
    if uid is not None and (label or earliest or only_open):
        raise ConfigProblem("--class, --since and --open belong to a list.", "Leave them out, or the UID.")
    if closes and (revision or folder or as_json):
        raise ConfigProblem("--close goes with no other option.", "Close the study first, then ask for it.")
    if uid is None:
        _list(session, label, session.since(earliest) or "", only_open=only_open, limit=limit, as_json=as_json)
        return
    study = study_of(session.connection, uid)
    if study is None:
        raise ConfigProblem(f"There is no study {uid!r}.", "`wetread results --study UID` shows its uploads, if any.")
    if closes:
        _close(session.connection, study)
        return
    _show(session, study, revision, folder, as_json=as_json)


def _list(session: Session, label: str | None, since: str, *, only_open: bool, limit: int, as_json: bool) -> None:
    connection = session.connection
    found = newest(connection, label, since, only_open=only_open, limit=limit)
    if label and not found.answers:
        refuse_unknown_class(connection, label, is_read=any(True for _ in connection.studies.of_class(label)))
    if as_json:
        print_json([one.to_json() for one in found.answers])
    elif found.answers:
        print_answers(found.answers, session.now())
    else:
        note("No study fits.")
    if found.more:
        note(f"There are more than these {limit}: raise --limit, or narrow the question.")


def _show(session: Session, study: Study, number: int | None, folder: Path | None, *, as_json: bool) -> None:
    document = revision_of(session.connection, study, number)
    delivered = session.connection.deliveries.of_study(study.study_instance_uid)
    delivery = next((one for one in delivered if one.revision == document["Revision"]), None)
    if as_json:
        print_json(document)
    else:
        print_read(Answer(study), document, session.now(), delivery)
    if folder:
        saved = save(session.connection, document, number, folder)
        note(f"Saved in {folder}: {', '.join(saved.names)}.")
        if saved.dicom:
            warn(f"{how_many(saved.dicom, 'DICOM result')} of these name a patient: keep them as you keep images.")
        if saved.refused:
            warn(f"DICOM results were not looked for: {saved.refused}")
        elif not saved.dicom:
            note(f"There are no DICOM results to save: {why_none(delivery)}")


def _close(connection: Connection, study: Study) -> None:
    number = close_now(connection, study)
    note(
        f"Said that {how_many(number, 'object')} are all of study {study.study_instance_uid}: it is closed within a "
        "minute or two after each has ended. What comes later makes one more revision."
    )
