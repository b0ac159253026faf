"""Index partitions in shards.

DynamoDB writes at most 1,000 units a second to one partition key of an index, and every upload passes ``Pending``,
``Completed``, the champion and, mostly, the commonest class. So these values are written with a shard of their item:
``Completed``, the control character US, ``7``. A reader asks every shard. A value that was written before 2026-11-29
has none: it is one of the partitions that are asked.

Two bytes each, since a row of 1,010 bytes costs half of one of 1,025; and no class has that character.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from functions.names import IndexName, StudyIndexName

SHARDS = 16
MARK = "\x1f"
# Partition keys of which one value has a share of all uploads or studies. A study, a series and a key have few.
OF_ROWS = frozenset(
    one.partition for one in (IndexName.BY_STATUS, IndexName.BY_CLASS, IndexName.BY_JOB, IndexName.BY_MODEL)
)
OF_STUDIES = frozenset(one.partition for one in StudyIndexName)
ATTRIBUTES = OF_ROWS | OF_STUDIES


def sharded(value: str, item: str) -> str:
    """Return a value with the shard of an item: of an UploadId or a StudyInstanceUID."""
    return f"{value}{MARK}{shard_of(item):x}"


def shard_of(item: str) -> int:
    """Return the shard of an item, below ``SHARDS``."""
    return int.from_bytes(hashlib.sha256(item.encode()).digest()[:4]) % SHARDS


def dealt(number: int) -> list[frozenset[int]]:
    """Return all shards in ``number`` shares of about the same size; as many shares as shards if there are fewer."""
    number = min(number, SHARDS)
    return [frozenset(range(first, SHARDS, number)) for first in range(number)]


def plain(value: str) -> str:
    """Return a value without its shard, if it has one."""
    return value[:-2] if value[-2:-1] == MARK else value


def with_shards(document: Mapping[str, Any], item: str) -> dict[str, Any]:
    """Return attributes as they are written for an item."""
    return {name: sharded(value, item) if name in ATTRIBUTES else value for name, value in document.items()}


def without_shards(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as they are meant."""
    return {
        name: plain(value) if name in ATTRIBUTES and isinstance(value, str) else value
        for name, value in document.items()
    }


def partitions(attribute: str, value: str, shards: Collection[int] | None = None) -> list[str]:
    """Return the partition keys of an index that may have a value; with ``shards``, of items of these shards.

    The value without a shard is always one of them: its items are of any shard.
    """
    if attribute not in ATTRIBUTES:
        return [value]
    return [value, *(f"{value}{MARK}{shard:x}" for shard in (range(SHARDS) if shards is None else sorted(shards)))]
