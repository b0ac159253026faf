"""Queries of the indexes: the items of a value in their order, from all of its shards."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from functions.aws.items import to_item
from functions.aws.shards import partitions
from functions.names import IndexName, StudyIndexName

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = Mapping[str, Any]
AnyIndex = IndexName | StudyIndexName
PAGE = 1000  # items of all shards that are in memory at once
LATEST = "9999"  # after every time


def in_order(
    client: DynamoDBClient,
    table: str,
    index: AnyIndex,
    value: str,
    *,
    since: str | None = None,
    newest_first: bool = True,
    page: int | None = None,
    shards: Collection[int] | None = None,
) -> Iterator[Item]:
    """Yield the items with a value, of all shards or of these, by time, and read about ``page`` of them at once.

    The first pages of all shards are read together, further ones when the items before them are used up.
    """
    request = _request(table, index, since) | {"ScanIndexForward": not newest_first}
    keys = partitions(index.partition, value, shards)
    requests = [_of(request, key) | {"Limit": _share(page or PAGE, key, value, len(keys))} for key in keys]
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = list(pool.map(lambda one: client.query(**one), requests))
    found = [_pages(client, one, answer) for one, answer in zip(requests, answers, strict=True)]
    yield from heapq.merge(*found, key=lambda item: str(item[index.sort]["S"]), reverse=newest_first)


def count(client: DynamoDBClient, table: str, index: AnyIndex, value: str, at_most: int | None = None) -> int:
    """Return how many items a value has; with ``at_most``, a larger number if there are more, not how many."""
    keys = partitions(index.partition, value)
    request = _request(table, index, None) | {"Select": "COUNT"}
    with ThreadPoolExecutor(len(keys)) as pool:
        return sum(pool.map(lambda key: _count(client, _of(request, key), at_most), keys))


def first(items: Iterator[Any], most: int) -> list[Any]:
    """Return the first ``most`` of ``items``."""
    return list(itertools.islice(items, most))


def _request(table: str, index: AnyIndex, since: str | None) -> dict[str, Any]:
    names = {"#p": index.partition}
    values: dict[str, str] = {}
    condition = "#p = :p"
    if since:
        condition += " AND #s BETWEEN :since AND :until"
        names["#s"] = index.sort
        values = {":since": since, ":until": LATEST}
    return {
        "TableName": table,
        "IndexName": index.title,
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": to_item(values),
    }


def _of(request: Mapping[str, Any], key: str) -> dict[str, Any]:
    values = {**request["ExpressionAttributeValues"], **to_item({":p": key})}
    return {**request, "ExpressionAttributeValues": values}


def _share(page: int, key: str, value: str, keys: int) -> int:
    """Return how many items of a partition are read at once: shards are about even, so half as many again.

    The one without a shard has all items or, once those from before there were shards have expired, none.
    """
    return page if key == value else math.ceil(1.5 * page / (keys - 1))


def _pages(client: DynamoDBClient, request: Any, answer: Any) -> Iterator[Item]:
    """Yield the items of a page that was read, then those of the next ones."""
    while True:
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        answer = client.query(**request, ExclusiveStartKey=answer["LastEvaluatedKey"])


def _count(client: DynamoDBClient, request: Any, at_most: int | None) -> int:
    number = 0
    while at_most is None or number <= at_most:
        if at_most is not None:
            request["Limit"] = at_most + 1 - number
        answer = client.query(**request)
        number += answer["Count"]
        if "LastEvaluatedKey" not in answer:
            break
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
    return number
