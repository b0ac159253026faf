"""The demo's story: uploads good and bad, which wait for a model, then their results, and what to try next."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from functions.domain.lane import Lane, lane_of
from functions.domain.row import Row, Status
from wetread.connection import Connection
from wetread.console import Bar, how_many, note, print_table
from wetread.demo.defects import DEFECTS
from wetread.demo.phantoms import phantom_bytes, write_cohort
from wetread.demo.studies import PhantomStudy, write_studies
from wetread.demo.truth import ABSTAINED, Agreement, labels
from wetread.formats import ELASTIC_COLUMNS, result, short, short_key
from wetread.problems import ConfigProblem, Problem
from wetread.studies.following import follow_studies, marked_studies
from wetread.uploads.markers import Sent as Marker
from wetread.uploads.markers import send_markers, whole_studies
from wetread.uploads.planning import plan
from wetread.uploads.sending import Submitted, Uploader, send, send_all
from wetread.uploads.submission import counted, follow, name_unhappy, name_unsent, warn_of_synthetic
from wetread.uploads.waiting import wait

UPLOAD_SEED = 1
"""Another seed than the first model's training cohort, so other patients."""
SLICES_PER_PATIENT = 4
SHOWN_DEFECTS = ("text", "truncated-header", "mr", "no-study-uid", "truncated-pixels", "no-instance-uid")
SHOWN_ROWS = 15
ROWS_SECONDS, WAIT_SECONDS, STUDIES_SECONDS = 600, 1800, 300
"""On a busy machine an invocation of ingest ends at its timeout, and its uploads are tried again minutes later."""
SMALLEST_STUDY = 64
"""Pixels of a side of the slices of studies: the fewest that are read."""
LANES = {Lane.EXPRESS: "in the express lane (a function)", Lane.TRANSFORM: "by a transform job"}
COLUMNS = ("Key", "Study", "Status", "Result", "Label")


@dataclass(frozen=True)
class Uploads:
    """The demo's submission: a folder, labels by file name, and the expected outcomes of files that are not read.

    ``spoilt`` are those that are shown one by one; ``studies`` the made ones that are shown at the end.
    """

    folder: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, tuple[Status, str | None]] = field(default_factory=dict)
    spoilt: frozenset[str] = frozenset()
    studies: tuple[PhantomStudy, ...] = ()


@dataclass(frozen=True)
class Sent:
    """What was submitted, and the markers of its studies."""

    done: list[Submitted]
    markers: list[Marker]


def phantom_uploads(workspace: Path, count: int, size: int) -> Uploads:
    """Write ``count`` phantoms of patients that the first model has not seen, a few spoilt ones, and whole studies."""
    folder = _fresh(workspace / "uploads")
    patients = max(1, -(-count // SLICES_PER_PATIENT))
    for one in write_cohort(folder, patients, SLICES_PER_PATIENT, size, UPLOAD_SEED)[count:]:
        one.path.unlink()
    good = phantom_bytes("normal", patients, 0, size=size, seed=UPLOAD_SEED)
    expected = {}
    for defect in DEFECTS:
        if defect.name in SHOWN_DEFECTS:
            name = f"spoilt-{defect.name}.dcm"
            (folder / name).write_bytes(defect.spoil(good))
            expected[name] = (defect.status, defect.code)
    spoilt = frozenset(expected)
    studies = write_studies(folder / "studies", max(SMALLEST_STUDY, size // 2), UPLOAD_SEED)
    for study in studies:
        expected[study.localizer] = (Status.REFUSED, "LocalizerNotServed")
        expected[study.report] = (Status.REFUSED, "NoPixelData")
    return Uploads(folder, labels(folder), expected, spoilt, tuple(studies))


def folder_uploads(folder: Path) -> Uploads:
    """Return a person's own folder; its manifest.json, if any, holds labels."""
    return Uploads(folder, labels(folder))


def submit(connection: Connection, uploads: Uploads) -> Sent:
    """Send the uploads, what is not read whatever is in it, and markers; raises Problem if one cannot be sent."""
    planned = plan([uploads.folder], "demo")
    uploader = Uploader(connection.s3, connection.deployment.uploads_bucket_name)
    odd = [one for one in planned.candidates if one.source.path.name in uploads.expected]
    others = [one for one in planned.candidates if one not in odd]
    note(f"Submitting {how_many(len(planned.candidates), 'file')}.")
    with Bar("Uploading", len(planned.candidates)) as bar:
        sent = send(others, connection.deployment.served, uploader, bar.advance)
        meant = send_all(uploader, odd, bar.advance)
    unsent = [*planned.unsent, *sent.unsent, *meant.unsent]
    name_unsent(unsent)
    failed = [one for one in unsent if one.group.fails]
    if failed:
        raise Problem(f"{how_many(len(failed), 'file')} could not be submitted.", failed[0].reason)
    done = [*sent.done, *meant.done]
    if not done:
        raise ConfigProblem("There is nothing to submit: no DICOM object for this service.", "Check the folder.")
    return Sent(done, send_markers(uploader, whole_studies(sent), "demo", lambda: None).sent)


def show_waiting(connection: Connection, done: Sequence[Submitted]) -> None:
    """Wait until every upload has its row, and print that readable ones wait for a model.

    Raises Problem when an upload has no row in time.
    """
    with Bar("Rows", len(done)) as bar:
        waited = wait(
            connection.index,
            [one.upload_id for one in done],
            ROWS_SECONDS,
            lambda now: bar.show(counted(now), len(done) - len(now.open)),
            ended=lambda _: True,
        )
    if waited.open:
        raise Problem(
            f"{how_many(len(waited.open), 'upload')} without a row after {ROWS_SECONDS} s.",
            "See `wetread doctor`. If it finds nothing, the machine is busy: the same command again continues.",
        )
    note(f"There is no model yet: {counted(waited)}. What is Pending waits for one.")


def read(connection: Connection, uploads: Uploads, done: Sequence[Submitted]) -> list[tuple[str, Row]]:
    """Wait for the results and show them; return file name and row of each upload.

    Raises Problem when an upload does not end in time.
    """
    waited = follow(connection, done, WAIT_SECONDS)
    if waited.open:
        raise Problem(f"{len(waited.open)} uploads have not ended after {WAIT_SECONDS} s.", "See `wetread doctor`.")
    rows = [(one.key.rpartition("/")[2], waited.rows[one.upload_id]) for one in done]
    _show(rows, uploads)
    note(lanes([row for _, row in rows]))
    return rows


def lanes(rows: Sequence[Row]) -> str:
    """Return how many uploads were read in which lane."""
    read_in = Counter(map(lane_of, rows))
    by = [f"{read_in[lane]} {words}" for lane, words in LANES.items() if read_in[lane]]
    return f"Read: {', '.join(by) or 'none'}."


def show_studies(connection: Connection, uploads: Uploads, sent: Sent, now: Callable[[], datetime]) -> None:
    """Wait until the studies are read, and print them: the made ones, or all of a person's own folder."""
    made = {one.study_instance_uid: one.label for one in uploads.studies}
    rows = connection.index.get_many(one.upload_id for one in sent.done)
    deadline = time.monotonic() + STUDIES_SECONDS
    studies = list(made) or marked_studies(sent.done, rows, sent.markers)
    if not studies:
        return
    read_by = follow_studies(connection, studies, sent.markers, lambda: deadline - time.monotonic(), now)
    if made and read_by:
        agreeing = sum(one.document.get("Class") == made[one.study.study_instance_uid] for one in read_by)
        note(
            f"{agreeing} of {how_many(len(read_by), 'study', 'studies')} were read as they were made: "
            f"{', '.join(made.values())}. Each has two series with lesions on some of their slices, a localizer and a "
            "dose report; these two are members that do not count. `wetread studies UID` shows one in full."
        )


def compare(rows: list[tuple[str, Row]], uploads: Uploads) -> None:
    """Print the agreement with known labels, and what that number means."""
    known = [
        (uploads.labels[name], ABSTAINED if row.abstained else row.predicted_class)
        for name, row in rows
        if name in uploads.labels
    ]
    if not known:
        note("No labels are known for these objects, so nothing is compared.")
        return
    agreement = Agreement.of(known)
    print_table(*agreement.table(), title="Known labels against results")
    share = 100 * agreement.agreeing / agreement.total
    note(
        f"{agreement.agreeing} of {agreement.total} slices ({share:.0f} %) were read as labelled. This counts slices, "
        "not patients. A model of phantoms, read on phantoms, shows that the service works; on anything else its "
        "number means nothing. It is no clinical accuracy, and this is no medical device."
    )


def surprises(rows: list[tuple[str, Row]], uploads: Uploads) -> list[str]:
    """Return the uploads that did not end as they should: spoilt ones as their defect says, all others Completed."""
    wrong = []
    for name, row in rows:
        status, code = uploads.expected.get(name, (Status.COMPLETED, None))
        if (row.status, row.code) != (status, code):
            wrong.append(f"{name} is {row.status} ({row.code}), expected {status} ({code})")
    return wrong


def what_next(connection: Connection, rows: list[tuple[str, Row]]) -> None:
    """Return commands to try next."""
    study = next((row.study_instance_uid for _, row in rows if row.study_instance_uid), None)
    version = next((row.model_package for _, row in rows if row.model_package), "VERSION")
    note("\nTry next:")
    called = connection.called
    commands = (
        (f"{called} results --study {study}", "all results of one study"),
        (f"{called} studies --since 1h", "studies, each read as a whole"),
        (f"{called} results --class covid --since 1h --csv", "one class, for a spreadsheet"),
        (f"{called} results --status Refused", "what was refused, and why"),
        (f"{called} submit FOLDER --wait", "your own DICOM objects"),
        (f"{called} runs", "training runs; RUN for one of them in full"),
        (f"{called} model show {version}", "the model: its figures, and where it comes from"),
        (f"{called} train --labels FOLDER --wait", "a model on labelled slices of your own"),
        (f"{called} status", "the whole service at a glance, with the lane of what is read now"),
        (f"{called} down", "stop (add --wipe to delete everything)"),
    )
    width = max(len(command) for command, _ in commands)
    for command, what in commands:
        note(f"  {command:<{width}}  {what}")


def _show(rows: list[tuple[str, Row]], uploads: Uploads) -> None:
    """Print every spoilt object, and some of those that are read, spread evenly."""
    others = [number for number, (name, _) in enumerate(rows) if name not in uploads.expected]
    step = max(1, -(-len(others) // (SHOWN_ROWS - len(uploads.spoilt))))
    sample = set(others[::step])
    shown = [row for number, row in enumerate(rows) if number in sample or row[0] in uploads.spoilt]
    lines = (
        (
            short_key(row.key),
            short(row.study_instance_uid),
            row.status,
            result(row),
            uploads.labels.get(name, "-"),
        )
        for name, row in shown
    )
    print_table(COLUMNS, lines, elastic=ELASTIC_COLUMNS)
    if len(shown) < len(rows):
        note(f"{len(shown)} of {len(rows)} are shown.")
    name_unhappy([row for _, row in rows])
    warn_of_synthetic([row for _, row in rows])


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
