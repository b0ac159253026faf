"""The record of erasures in the batches table: who erased what and when; patients only by keyed hash."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from functions.aws.items import to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """One erasure. ``kind`` is patient or study, ``subject`` its hash; ``finished_at`` is "" until all is erased."""

    erasure_id: str
    kind: str
    subject: str
    erased_by: str
    began_at: str
    finished_at: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    runs: Sequence[str] = ()

    def so_far(self, counts: Mapping[str, int], runs: Sequence[str]) -> Erasure:
        """Return the record with the present counts and runs."""
        return dataclasses.replace(self, counts=dict(counts), runs=list(runs))

    def finished(self, at: str, counts: Mapping[str, int], runs: Sequence[str]) -> Erasure:
        """Return the record, finished."""
        return dataclasses.replace(self, finished_at=at, counts=dict(counts), runs=list(runs))


class Erasures:
    """Keeps the record: ``ERASURE#<id>`` items."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def note(self, erasure: Erasure) -> None:
        """Write an erasure's record as it is now."""
        document = {
            "Id": f"ERASURE#{erasure.erasure_id}",
            "Kind": erasure.kind,
            "SubjectHash": erasure.subject,
            "ErasedBy": erasure.erased_by,
            "BeganAt": erasure.began_at,
            "FinishedAt": erasure.finished_at,
            "Counts": dict(erasure.counts),
            "Runs": list(erasure.runs),
        }
        self._client.put_item(TableName=self._table, Item=to_item(document))
