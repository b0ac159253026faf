"""The questions that people ask of the index: each one Query, its other conditions sifted from the answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from functions.aws.index import Index, IndexName
from functions.domain.instance import as_uid
from functions.domain.row import Row, Status

PAGE = 200


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a person asked for; all conditions must hold. ``since`` is a row timestamp."""

    key: str | None = None
    series: str | None = None
    study: str | None = None
    job: str | None = None
    model: str | None = None
    predicted_class: str | None = None
    status: str | None = None
    since: str | None = None

    def by_rows(self) -> Question:
        """The question in the words of the rows: identifiers that are no UIDs as the service maps them."""
        return dataclasses.replace(
            self,
            study=self.study and (as_uid(self.study) or self.study),
            series=self.series and (as_uid(self.series) or self.series),
        )


# The narrowest index first: the first condition that is given is the Query, the others sift its answer.
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
    """The newest rows that fit, and whether there are more."""

    rows: list[Row]
    more: bool


def ask(index: Index, question: Question, limit: int) -> Answer:
    """The newest ``limit`` rows that fit. Without a condition: of all uploads, by one Query for each status."""
    question = question.by_rows()
    given = [name for name in _CONDITIONS if getattr(question, name)]
    if given:
        index_name, _ = _CONDITIONS[given[0]]
        found = _sifted(index, index_name, getattr(question, given[0]), question, limit + 1)
    else:
        found = [row for status in Status for row in _sifted(index, IndexName.BY_STATUS, status, question, limit + 1)]
        found.sort(key=lambda row: row.received_at, reverse=True)
    return Answer(found[:limit], len(found) > limit)


def _sifted(index: Index, index_name: IndexName, value: str, question: Question, at_most: int) -> list[Row]:
    rows: list[Row] = []
    for row in _pages(index, index_name, value, question.since, at_most):
        if _fits(row, question):
            rows.append(row)
            if len(rows) == at_most:
                break
    return rows


def _pages(index: Index, index_name: IndexName, value: str, since: str | None, at_most: int) -> Iterator[Row]:
    start: Mapping[str, Any] | None = None
    while True:
        page = index.query(index_name, value, since=since, limit=min(PAGE, at_most), start=start)
        yield from page.rows
        if page.next is None:
            return
        start = page.next


def _fits(row: Row, question: Question) -> bool:
    wanted = ((attribute, getattr(question, name)) for name, (_, attribute) in _CONDITIONS.items())
    return all(value is None or getattr(row, attribute) == value for attribute, value in wanted)
