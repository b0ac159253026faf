"""What all List operations share: filters by name, status and time, sort order, and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.store import Record

_PAGE = 100


def page(
    records: Iterable[Record],
    request: Record,
    *,
    answer: str,
    name: str,
    members: tuple[str, ...],
    status: str | None = None,
    order: str = "Descending",
) -> Record:
    """Return one page of summaries under the key `answer`.

    `name` and `status` are the members that NameContains, SortBy=Name and StatusEquals use; `members` are those of a
    summary; `order` is the default sort order.
    """
    kept = [record for record in records if _matches(record, request, name, status)]
    sort_key = _sort_key(request.get("SortBy", "CreationTime"), name, status)
    kept.sort(key=sort_key, reverse=request.get("SortOrder", order) == "Descending")
    start = _start(request)
    end = start + int(request.get("MaxResults", _PAGE))
    result: Record = {
        answer: [{member: record[member] for member in members if member in record} for record in kept[start:end]]
    }
    return {**result, "NextToken": str(end)} if end < len(kept) else result


def _matches(record: Record, request: Record, name: str, status: str | None) -> bool:
    created = record["CreationTime"]
    return (
        request.get("NameContains", "").lower() in str(record[name]).lower()
        and (status is None or request.get("StatusEquals", record[status]) == record[status])
        and created >= request.get("CreationTimeAfter", created)
        and created <= request.get("CreationTimeBefore", created)
    )


def _sort_key(sort_by: str, name: str, status: str | None) -> Callable[[Record], Any]:
    member = {"Name": name, "Status": status or name}.get(sort_by, "CreationTime")
    return lambda record: (record[member], record["CreationTime"])


def _start(request: Record) -> int:
    token = request.get("NextToken", "0")
    if not token.isdigit():
        raise invalid(f"The NextToken {token!r} was not issued by this service.")
    return int(token)
