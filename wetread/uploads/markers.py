"""The markers that a sender writes: which objects a study has, so that its read need not wait for quiet.

A study gets one when all of its files are sent. A study with a file that could not be sent gets none, and neither does
any study while the study of such a file is not known.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from functions.domain import layout
from functions.domain.instance import as_uid
from functions.domain.marker import MOST_BYTES, MOST_SERIES, SCHEMA, SUFFIX
from wetread.parallel import each
from wetread.uploads.sending import Outcome, Uploader
from wetread.uploads.sorting import Identifiers

CONTENT_TYPE = "application/json"
FOLDER = "complete"
"""Where markers are put, below the prefix of a submission."""


@dataclass(frozen=True)
class Sent:
    """A marker that is in the bucket now, as the Upload ``upload_id``, with the study as its files say it."""

    study: str
    upload_id: str


@dataclass(frozen=True)
class Marked:
    """The markers that are sent, and the reasons why others are not."""

    sent: list[Sent]
    failed: list[str]


@dataclass(frozen=True)
class Whole:
    """A study of which all files are sent; ``is_new`` if this command sent any of them."""

    study: str
    document: dict[str, Any]
    is_new: bool

    def body(self) -> bytes:
        """Return the marker's bytes: the same for the same objects."""
        return json.dumps(self.document, sort_keys=True).encode()

    def key(self, prefix: str) -> str:
        """Return the marker's key. Its name is a hash: an identifier in a file may be a patient's number."""
        name = f"{FOLDER}/{hashlib.sha256(self.body()).hexdigest()[:32]}{SUFFIX}"
        return f"{prefix.strip('/')}/{name}" if prefix.strip("/") else name


def whole_studies(outcome: Outcome) -> list[Whole]:
    """Return the studies of which every file is sent; none if a file of an unknown study is not."""
    if "" in outcome.unfinished:
        return []
    by_study: dict[str, list[Identifiers]] = defaultdict(list)
    new = set()
    for one in outcome.done:
        seen = one.identifiers
        if seen and _can_be_named(seen) and seen.study not in outcome.unfinished:
            by_study[seen.study].append(seen)
            new |= set() if one.again else {seen.study}
    documents = ((study, _document(study, several)) for study, several in by_study.items())
    return [Whole(study, document, is_new=study in new) for study, document in documents if document]


def send_markers(uploader: Uploader, studies: Sequence[Whole], prefix: str, advance: Callable[[], None]) -> Marked:
    """Send the markers.

    What was sent before is not sent again, unless a file of its study was: a study that is opened again is closed by a
    new marker only.
    """

    def put(one: Whole) -> str:
        anew = Uploader(uploader.client, uploader.bucket, uploader.sent, again=uploader.again or one.is_new)
        version, _ = anew.put(one.key(prefix), io.BytesIO(one.body()), CONTENT_TYPE)
        return layout.upload_id(one.key(prefix), version)

    done, failed = each(put, studies, advance)
    return Marked([Sent(one.study, upload_id) for one, upload_id in done], [reason for _, reason in failed])


def complete(study: str, series: Iterable[tuple[str, int, Sequence[str]]]) -> dict[str, Any]:
    """Return a complete/1 document: of each series its UID, the number of its objects, and their UIDs if all are known.

    The UIDs are left out where they would make the document too long.
    """
    series = list(series)
    full = [_entry(uid, number, named) for uid, number, named in series]
    document = {"Schema": SCHEMA, "StudyInstanceUID": study, "Series": full}
    if len(json.dumps(document)) > MOST_BYTES:
        document["Series"] = [_entry(uid, number, ()) for uid, number, _ in series]
    return document


def _document(study: str, objects: Iterable[Identifiers]) -> dict[str, Any] | None:
    """Return a study's marker; None if the study has more series than a marker may name."""
    by_series: dict[str, set[str]] = defaultdict(set)
    nameless: Counter[str] = Counter()
    for one in objects:
        by_series[one.series] |= {one.instance} if _is_identifier(one.instance) else set()
        nameless[one.series] += not _is_identifier(one.instance)  # ingest names it by its content
    if len(by_series) > MOST_SERIES:
        return None
    return complete(
        study,
        (
            (uid, len(named) + nameless[uid], () if nameless[uid] else sorted(named))
            for uid, named in sorted(by_series.items())
        ),
    )


def _entry(uid: str, number: int, named: Sequence[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"SeriesInstanceUID": uid}
    return entry | ({"SOPInstanceUIDs": list(named)} if named else {"NumberOfInstances": number})


def _can_be_named(identifiers: Identifiers) -> bool:
    """Return whether a marker can name a file's study and series; ingest refuses files that have none."""
    return _is_identifier(identifiers.study) and _is_identifier(identifiers.series)


def _is_identifier(text: str) -> bool:
    return text.isascii() and bool(as_uid(text))
