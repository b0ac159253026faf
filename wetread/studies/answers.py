"""People's questions of the studies, and the answers: a study as it is, with the document of its last revision.

An index only says which studies to look at: what is shown is read from the table, strongly consistent.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from functions.aws.objects import Documents
from functions.aws.studies import Studies
from functions.domain.instance import as_uid, is_hashed
from functions.domain.study import State, Study
from functions.domain.study_document import MOST_BYTES
from wetread.connection import Connection
from wetread.problems import Problem
from wetread.uploads.queries import allowed

READERS = 16


@dataclass(frozen=True)
class Answer:
    """A study, and the document of its last revision; {} while it has none, or when that has expired."""

    study: Study
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether more of the study is awaited."""
        return self.study.state == State.OPEN

    def to_json(self) -> dict[str, Any]:
        """Return the answer for programs, under AWS-style names."""
        return {
            "StudyInstanceUID": self.study.study_instance_uid,
            "State": self.study.state,
            "OpenedAt": self.study.opened_at or None,
            "Revision": self.study.revision,
            "Read": dict(self.document) or None,
        }


@dataclass(frozen=True)
class Found:
    """The answers to a question, the newest first; ``more`` if there are others."""

    answers: list[Answer]
    more: bool


def newest(connection: Connection, label: str | None, since: str, *, only_open: bool, limit: int) -> Found:
    """Return the newest ``limit`` studies: of a class, closed (the open ones: opened) since a time."""
    studies = connection.studies
    still = sorted(studies.open(), key=lambda one: one.opened_at, reverse=True) if only_open or not label else []
    if only_open:
        hints: Iterable[Study] = (one for one in still if _opened_since(one, since))
    elif label:
        hints = studies.of_class(label, since)
    else:
        hints = itertools.chain((one for one in still if one.revision or not since), studies.closed(since))

    def fits(answer: Answer) -> bool:
        if label and answer.document.get("Class") != label:
            return False
        return _opened_since(answer.study, since) if only_open else _read_since(answer, since)

    uids = _once(one.study_instance_uid for one in hints)
    answers: list[Answer] = []
    # Hints may not fit, so how many of them are read turns out at the end.
    while len(answers) <= limit and (some := list(itertools.islice(uids, limit + 1))):
        answers += filter(fits, answers_of(connection, seen(studies, some)))
    return Found(answers[:limit], len(answers) > limit)


def _once(uids: Iterable[str]) -> Iterator[str]:
    """Yield each UID once, as it comes."""
    known: set[str] = set()
    for uid in uids:
        if uid not in known:
            known.add(uid)
            yield uid


def seen(studies: Studies, uids: Iterable[str]) -> list[Study]:
    """Return studies as they are now, in this order; those that are not known are left out."""
    with ThreadPoolExecutor(READERS) as pool:
        return [one for one in pool.map(studies.seen, uids) if one]


def answers_of(connection: Connection, studies: Sequence[Study]) -> list[Answer]:
    """Return studies with their documents."""
    documents = documents_of(connection)
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda one: Answer(one, _document(documents, one.result_key)), studies))


def study_of(connection: Connection, text: str) -> Study | None:
    """Return a study by its UID as a row or a file says it; None if it is not known."""
    for uid in _uids(connection, text):
        if study := connection.studies.seen(uid):
            return study
    return None


def revision_of(connection: Connection, study: Study, number: int | None) -> dict[str, Any]:
    """Return the document of a revision, of the last one by default. Raises Problem if there is none."""
    uid = study.study_instance_uid
    if not study.revision:
        raise Problem(f"Study {uid} has not been read yet.", "See `wetread studies --open`, or wait.")
    number = study.revision if number is None else number
    revision = next((one for one in connection.studies.revisions(uid) if one.number == number), None)
    if revision is None:
        raise Problem(f"Study {uid} has no revision {number}.", f"It has {study.revision}, or they have expired.")
    document = _document(documents_of(connection), revision.result_key)
    if not document:
        raise Problem(f"The document of revision {number} of study {uid} has expired.", "Rows may still be there.")
    return document


def documents_of(connection: Connection) -> Documents:
    """Return the documents of studies."""
    return Documents(connection.s3, connection.deployment.results_bucket_name, MOST_BYTES)


def _document(documents: Documents, key: str) -> dict[str, Any]:
    body = documents.find(key) if key else None
    document: dict[str, Any] = json.loads(body) if body else {}
    return document


def _read_since(answer: Answer, since: str) -> bool:
    """Return whether a study was closed since a time; an open one was by its last revision."""
    return not (since and answer.is_open) or answer.document.get("ClosedAt", "") >= since


def _opened_since(study: Study, since: str) -> bool:
    return study.state == State.OPEN and study.opened_at >= since


def _uids(connection: Connection, text: str) -> Iterator[str]:
    """Yield the UIDs that rows may have for an identifier: as it is, mapped, mapped by the stage's key."""
    text = text.strip()
    if uid := as_uid(text):
        yield uid
    if is_hashed(text):
        yield as_uid(text, allowed(connection.patients))
