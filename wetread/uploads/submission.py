"""Show a submission: what is left out, progress bars of waiting, and the names of uploads that failed."""

from __future__ import annotations

from collections.abc import Sequence

from functions.domain.errors import RefusalCode
from functions.domain.row import Row, Status
from untrusted.sop_classes import MODALITY_OF_SOP_CLASS
from wetread.connection import Connection
from wetread.console import Bar, how_many, note, printable, warn
from wetread.deployment import Deployment
from wetread.formats import SEEN_SYNTHETIC, sentences, short_key
from wetread.uploads.sending import Submitted
from wetread.uploads.sent import Sent, path_of
from wetread.uploads.sorting import Group, Unsent, is_of_another_kind
from wetread.uploads.waiting import Waited, wait

NAMED = 20
"""How many refused, failed or pending uploads are named one by one."""
LISTED = 100
"""How many files of each group that is not sent are named."""


def sent_before(deployment: Deployment, now: float) -> Sent | None:
    """Return the record of what this machine has sent to a deployment; None, with a warning, where there can be none.

    ``now`` is in seconds since 1970.
    """
    try:
        return Sent(path_of(f"{deployment.stack_id} {deployment.uploads_bucket_name}"), now)
    except (OSError, RuntimeError) as error:  # RuntimeError: this user has no home
        warn(f"What is sent cannot be recorded ({error}): a repeated command will send everything again.")
        return None


def name_unsent(unsent: Sequence[Unsent]) -> None:
    """Name what is not sent, group by group: how many of each, and the first of them with their reasons."""
    for group in Group:
        of_group = [one for one in unsent if one.group == group]
        if not of_group:
            continue
        say = warn if group.fails else note
        say(f"{how_many(len(of_group), group.noun, group.nouns)} {group.what}:")
        for one in of_group[:LISTED]:
            note(f"  {printable(one.name)}  {printable(one.reason)}".rstrip())
        if len(of_group) > LISTED:
            note(f"  … and {len(of_group) - LISTED:,} more")


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
    """Name each refused and failed upload with its reason; apart from them those that are not for this service."""
    ended = [row for row in rows if row.status in {Status.REFUSED, Status.FAILED}]
    others = [row for row in ended if is_for_others(row)]
    _name([row for row in ended if not is_for_others(row)])
    if others:
        note(f"{how_many(len(others), 'DICOM object')} not for this service:")
        _name(others)


def _name(rows: Sequence[Row]) -> None:
    for row in rows[:NAMED]:
        note(f"  {row.status:<8} {printable(short_key(row.key))}  {row.code}: {printable(row.reason or '')}")
    if len(rows) > NAMED:
        note(f"  … and {len(rows) - NAMED} more: `wetread results --status Refused`, `--status Failed`.")


def name_sentences(rows: Sequence[Row]) -> None:
    """Print each repair and note of rows once, with the number of rows that have it."""
    found = sentences(rows)
    if found:
        note("Repairs and notes (number of uploads):")
    for sentence, count in found.items():
        note(f"  {count:>5}  {printable(sentence)}")


def warn_of_synthetic(rows: Sequence[Row]) -> None:
    """Print a warning if a model that has seen phantoms only has answered one of the rows."""
    if any(row.synthetic for row in rows):
        warn(SEEN_SYNTHETIC)


def is_for_others(row: Row) -> bool:
    """Return whether an upload was refused because it is not for this service: nothing is wrong with it."""
    is_report = row.code == RefusalCode.NO_PIXEL_DATA and row.sop_class_uid not in {None, *MODALITY_OF_SOP_CLASS}
    return row.status == Status.REFUSED and (is_report or is_of_another_kind(row.code))


def counted(waited: Waited) -> str:
    """Return how many uploads have each status, in words."""
    return ", ".join(f"{count} {status}" for status, count in sorted(waited.counts().items()))
