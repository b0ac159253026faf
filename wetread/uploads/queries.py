"""People's queries of the rows: one question to the index of the narrowest condition, filtered by the others."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from botocore.exceptions import ClientError

from functions.aws.index import Index
from functions.aws.items import error_code
from functions.aws.keys import HIDDEN, Keys
from functions.aws.patients import Patients
from functions.domain.instance import UuidOf, as_uid, is_hashed
from functions.domain.row import Row, Status
from functions.names import IndexName
from wetread.problems import FORBIDDEN, ConfigProblem

PAGE = 200


@dataclass(frozen=True, kw_only=True)
class Query:
    """Conditions on rows, all of which must hold; ``abstained`` only if it is True. ``since`` is a row timestamp."""

    key: str | None = None
    series: str | None = None
    study: str | None = None
    job: str | None = None
    model: str | None = None
    predicted_class: str | None = None
    abstained: bool = False
    status: str | None = None
    since: str | None = None

    def by_rows(self, uuid_of: UuidOf | None = None) -> Query:
        """Return the query with identifiers that are not UIDs mapped as rows have them.

        With ``uuid_of`` they are mapped by the stage's key, without it as before 2026-11-28.
        """
        return dataclasses.replace(
            self,
            study=self.study and (as_uid(self.study, uuid_of) or self.study),
            series=self.series and (as_uid(self.series, uuid_of) or self.series),
        )

    @property
    def needs_key(self) -> bool:
        """Return whether newer rows have an identifier of this query only as hashed with the stage's key."""
        return any(text and is_hashed(text) for text in (self.study, self.series))


# The narrowest index first: the first given condition is asked of its index, the others filter its rows.
_CONDITIONS = {
    "key": (IndexName.BY_KEY, "key"),
    "series": (IndexName.BY_SERIES, "series_instance_uid"),
    "study": (IndexName.BY_STUDY, "study_instance_uid"),
    "job": (IndexName.BY_JOB, "transform_job_name"),
    "model": (IndexName.BY_MODEL, "model_package"),
    "predicted_class": (IndexName.BY_CLASS, "predicted_class"),
    "status": (IndexName.BY_STATUS, "status"),
}


@dataclass(frozen=True)
class Answer:
    """The newest rows that match, and whether there are more."""

    rows: list[Row]
    more: bool


def run_query(
    index: Index, query: Query, limit: int, keys: Keys | None = None, patients: Patients | None = None
) -> Answer:
    """Return the newest ``limit`` rows that match. Without a condition, query every status.

    ``keys`` (of a stage that hides keys) restores the keys of rows, and finds a key both plain (older rows) and hidden
    (newer ones). ``patients`` finds a study or series by the file's own identifier where that is a number or a date.
    Raises ConfigProblem if the caller may not use the stage's key.
    """
    queries = [query.by_rows()]
    if patients and query.needs_key:
        queries.append(query.by_rows(allowed(patients)))
    if keys:
        queries += [dataclasses.replace(one, key=keys.hidden(one.key)) for one in queries if one.key]
    answers = [_newest(index, one, limit) for one in queries]
    rows = answers[0].rows
    if len(answers) > 1:
        rows = sorted((row for one in answers for row in one.rows), key=lambda row: row.received_at, reverse=True)
    more = any(one.more for one in answers) or len(rows) > limit
    return Answer(revealed(rows[:limit], keys) if keys else rows[:limit], more)


def has_class(index: Index, predicted_class: str) -> bool:
    """Return whether any row has a class."""
    return any(True for _ in index.find(IndexName.BY_CLASS, predicted_class, page=1))


def allowed(patients: Patients) -> UuidOf:
    """Return the stage's hash function of identifiers. It raises ConfigProblem if the caller may not use the key."""

    def uuid_of(identifier: str) -> uuid.UUID:
        try:
            return patients.uuid_of(identifier)
        except ClientError as error:
            if error_code(error) not in FORBIDDEN:
                raise
            raise ConfigProblem(
                "The identifier is no UID, and rows have it by a key that you may not use (kms:GenerateMac).",
                "Ask with the UID that a row has, as `wetread results --json` shows it, or by --key or --since.",
            ) from error

    return uuid_of


def revealed(rows: Sequence[Row], keys: Keys) -> list[Row]:
    """Return rows with their hidden keys restored; still hidden if the caller may not read the table of keys."""
    try:
        found = keys.reveal(row.upload_id for row in rows if row.key.startswith(HIDDEN))
    except ClientError as error:
        if error_code(error) not in FORBIDDEN:
            raise
        found = {}
    return [dataclasses.replace(row, key=found.get(row.upload_id, row.key)) for row in rows]


def _newest(index: Index, query: Query, limit: int) -> Answer:
    if query.abstained and not query.status:
        query = dataclasses.replace(query, status=Status.COMPLETED)
    given = [name for name in _CONDITIONS if getattr(query, name)]
    if given:
        index_name, _ = _CONDITIONS[given[0]]
        found = _filtered(index, index_name, getattr(query, given[0]), query, limit + 1)
    else:
        found = [row for status in Status for row in _filtered(index, IndexName.BY_STATUS, status, query, limit + 1)]
        found.sort(key=lambda row: row.received_at, reverse=True)
    return Answer(found[:limit], len(found) > limit)


def _filtered(index: Index, index_name: IndexName, value: str, query: Query, at_most: int) -> list[Row]:
    rows: list[Row] = []
    page = PAGE if query.abstained else min(PAGE, at_most)  # of many rows few abstained
    for row in index.find(index_name, value, since=query.since, page=page):
        if _matches(row, query):
            rows.append(row)
            if len(rows) == at_most:
                break
    return rows


def _matches(row: Row, query: Query) -> bool:
    """Return whether a row meets all conditions; a sender's marker, which is not read, only by its status or key."""
    if row.status == Status.MARKER and not (query.status or query.key):
        return False
    if query.abstained and not row.abstained:
        return False
    wanted = ((attribute, getattr(query, name)) for name, (_, attribute) in _CONDITIONS.items())
    return all(value is None or getattr(row, attribute) == value for attribute, value in wanted)
