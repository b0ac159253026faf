"""A meter between the functions and the AWS in memory: counts requests and DynamoDB units, and adds latency."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from functions.names import IndexName, StudyIndexName
from tests.fakes.world import World

# Seconds a request takes, really slept; requests with many items take longer.
LATENCY: Mapping[str, float] = {
    "s3": 0.030,
    "dynamodb": 0.005,
    "kms": 0.010,
    "sqs": 0.010,
    "sagemaker": 0.100,
    "events": 0.020,
    "cloudwatch": 0.050,
    "lambda": 0.030,
}
MANY_ITEMS = 0.020  # BatchGetItem, TransactWriteItems, Query
OF_MANY = frozenset({"batch_get_item", "transact_write_items", "query"})
KEYS_OF_LIST = 1000
WRITES = {"put_item": "Put", "update_item": "Update", "delete_item": "Delete"}
PATIENT = "PatientHash"
INDEXES: dict[str, list[IndexName | StudyIndexName]] = {"index": list(IndexName), "studies": list(StudyIndexName)}


@dataclass
class Meter:
    """Requests to AWS. ``slow``: whether requests have latency; ``keep``: whether row updates are kept.

    ``written`` counts write units by table, ``partitions`` those of indexes by table, index and partition key.
    """

    slow: bool = False
    keep: bool = False
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    partitions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    updates: list[Any] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def real_time(self) -> Iterator[None]:
        """Give every request its latency for the context."""
        self.slow = True
        try:
            yield
        finally:
            self.slow = False

    def reset(self) -> None:
        """Reset the counts."""
        self.requests, self.units, self.updates = Counter(), Counter(), []
        self.written, self.partitions = Counter(), Counter()

    def took(self, service: str, operation: str, answer: Any) -> None:
        """Count a request, and sleep for its latency."""
        pages = 1
        if operation == "list_objects_v2":  # the AWS in memory answers in one page
            pages = max(1, math.ceil(len(answer["Contents"]) / KEYS_OF_LIST))
        with self._lock:
            self.requests[service, operation] += pages
        if self.slow:
            time.sleep(pages * (MANY_ITEMS if operation in OF_MANY else LATENCY[service]))

    def add(self, unit: str, amount: float, table: str = "") -> None:
        """Add DynamoDB units, written ones to their table's too."""
        with self._lock:
            self.units[unit] += amount  # type: ignore[assignment]
            if table:
                self.written[table] += amount  # type: ignore[assignment]

    def add_entry(self, table: str, index: str, key: str, amount: int) -> None:
        """Add the units of a written or deleted index entry."""
        self.add("written, indexes", amount, table)
        with self._lock:
            self.partitions[table, index, key] += amount


def metered(world: World) -> Meter:
    """Put a meter between a world's functions and its AWS."""
    meter = Meter()
    for service, wire in world.clients.items():
        kind = _MeteredTables if service == "dynamodb" else _Metered
        wire._fake = kind(service, wire._fake, meter)
    return meter


class _Metered:
    """One service."""

    def __init__(self, service: str, fake: Any, meter: Meter) -> None:
        self._service = service
        self._fake = fake
        self._meter = meter

    def __getattr__(self, operation: str) -> Any:
        method = getattr(self._fake, operation)

        def call(**request: Any) -> Any:
            answer = method(**request)
            self._meter.took(self._service, operation, answer)
            return answer

        return call


class _MeteredTables(_Metered):
    """DynamoDB: priced by the bytes read and written, index entries included."""

    def __getattr__(self, operation: str) -> Any:
        call = super().__getattr__(operation)
        if operation in WRITES or operation == "transact_write_items":
            return lambda **request: self._write(operation, call, request)
        return lambda **request: self._read(operation, call(**request), request)

    def _write(self, operation: str, call: Any, request: Any) -> Any:
        actions = request.get("TransactItems") or [{WRITES[operation]: request}]
        if self._meter.keep and request.get("TableName") == "index":
            self._meter.updates.append(request)
        places = [self._place(action) for one in actions for action in one.values()]
        before = [self._fake.tables[table].get(key, {}) for table, key in places]
        try:
            return call(**request)
        finally:  # a write with a false condition is charged too
            after = [self._fake.tables[table].get(key, {}) for table, key in places]
            for (table, _), old, new in zip(places, before, after, strict=True):
                self._charge(table, old, new, 2 if "TransactItems" in request else 1)

    def _place(self, action: Any) -> tuple[str, str]:
        return action["TableName"], self._fake._key(action)

    def _charge(self, table: str, old: Any, new: Any, times: int) -> None:
        self._meter.add("written, table", times * max(1, _kilobytes(old), _kilobytes(new)), table)
        # Index entries follow later: taken as ordinary writes, after transactions too. Each has all attributes.
        for index in INDEXES.get(table, ()):
            was, now = (_entry(index, item) for item in (old, new))
            if was and was == now:
                self._meter.add_entry(table, index.title, was[0], max(map(_kilobytes, (old, new))) * (old != new))
                continue
            for entry, item in ((was, old), (now, new)):
                if entry:
                    self._meter.add_entry(table, index.title, entry[0], _kilobytes(item))

        # ByPatient has keys only: an entry is written when the row comes, and deleted when it goes.
        was, now = (item.get(PATIENT) for item in (old, new))
        self._meter.add("written, indexes", 0 if was == now else bool(was) + bool(now), table)

    def _read(self, operation: str, answer: Any, request: Any) -> Any:
        if operation == "query":
            size = sum(map(size_of, answer.get("Items", [])))
            self._meter.add("read", max(0.5, math.ceil(size / 4096) / 2))
        elif operation == "batch_get_item":
            for table, wanted in request["RequestItems"].items():
                found = [math.ceil(size_of(item) / 4096) for item in answer["Responses"][table]]
                self._meter.add("read", sum(found) + len(wanted["Keys"]) - len(found))
        else:
            self._meter.add("read", max(1, math.ceil(size_of(answer.get("Item", {})) / 4096)))
        return answer


def _entry(index: IndexName | StudyIndexName, item: Any) -> tuple[str, str] | None:
    """Return the partition and sort key of an item's entry in an index; None if it has none."""
    keys = [item[name]["S"] for name in (index.partition, index.sort) if name in item]
    return (keys[0], keys[1]) if len(keys) == 2 else None


def _kilobytes(item: Any) -> int:
    return math.ceil(size_of(item) / 1024)


def size_of(item: Mapping[str, Any]) -> int:
    """Return an item's size in bytes as DynamoDB counts it: names, values in UTF-8, two digits of a number a byte."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return math.ceil(len(content.strip("-0.").replace(".", "")) / 2) + 1
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _value_size(inner) for name, inner in content.items())
    if kind == "L":
        return 3 + sum(1 + _value_size(inner) for inner in content)
    return 1 if kind in {"BOOL", "NULL"} else sum(len(one.encode()) for one in content)
