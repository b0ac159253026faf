"""Follow the studies of a submission to their reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from functions.domain.row import Row
from wetread.connection import Connection
from wetread.console import Bar, how_many, warn
from wetread.studies.answers import Answer, answers_of
from wetread.studies.table import print_answers
from wetread.studies.waiting import wait
from wetread.uploads.markers import Sent
from wetread.uploads.sending import Submitted
from wetread.uploads.waiting import wait as wait_for_rows


def marked_studies(done: Sequence[Submitted], rows: Mapping[str, Row], markers: Sequence[Sent]) -> list[str]:
    """Return the studies that have a marker, by the UIDs of their rows: an identifier that is no UID is mapped."""
    marked = {one.study for one in markers}
    uids = (
        rows[one.upload_id].study_instance_uid
        for one in done
        if one.identifiers and one.identifiers.study in marked and one.upload_id in rows
    )
    return list(dict.fromkeys(uid for uid in uids if uid))


def follow_studies(
    connection: Connection,
    uids: Sequence[str],
    markers: Sequence[Sent],
    left: Callable[[], float],
    now: Callable[[], datetime],
) -> list[Answer]:
    """Wait for the reads of studies, no longer than ``left()`` seconds; print and return them."""
    with Bar("Studies", len(uids)) as bar:
        # A study may be closed as of an earlier submission until its marker is taken in.
        wait_for_rows(connection.index, [one.upload_id for one in markers], max(0.0, left()), lambda _: None)
        waited = wait(
            connection.studies,
            uids,
            max(0.0, left()),
            lambda so_far: bar.show(f"{len(so_far.closed)} of {len(uids)} studies read", len(so_far.closed)),
        )
    answers = answers_of(connection, waited.closed)
    if answers:
        print_answers(answers, now(), title="Studies")
    if waited.open:
        warn(f"{how_many(len(waited.open), 'study', 'studies')} not read yet: see `wetread studies --open`.")
    return answers
