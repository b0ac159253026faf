"""The same storms over DynamoDB in memory and over the local cloud's: they end in the same rows, item by item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from functions.aws.items import from_item
from tests.e2e.conftest import Service
from tests.simulation.simulation import Simulation

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SEEDS = (3, 9, 11, 15, 17)
TABLES = {
    "index": ("UploadId",),
    "batches": ("Id",),
    "keys": ("UploadId",),
    "studies": ("StudyInstanceUID", "Item"),
}
WRITES = {"put_item", "update_item", "delete_item", "transact_write_items"}


class LocalTables:
    """The local cloud's DynamoDB behind the interface of tests/fakes/dynamodb.py."""

    def __init__(self, client: Any, lagging: Callable[[], bool]) -> None:
        self._client = client
        self._lagging = lagging
        self._scanned: dict[str, dict[str, Any]] = {}

    def __getattr__(self, operation: str) -> Any:
        method = getattr(self._client, operation)

        def call(**request: Any) -> Any:
            if operation == "query" and "IndexName" in request:
                self._lagging()  # a draw, as in memory: the schedule stays the same
            try:
                return method(**request)
            finally:
                self._scanned = {} if operation in WRITES else self._scanned

        return call

    @property
    def tables(self) -> dict[str, dict[str, Any]]:
        """Every item by its table and key."""
        if not self._scanned:
            for table, keys in TABLES.items():
                pages = self._client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
                items = [item for page in pages for item in page["Items"]]
                self._scanned[table] = {"|".join(item[key]["S"] for key in keys): item for item in items}
        return self._scanned


@contextmanager
def tables_like(service: Service) -> Iterator[Any]:
    """Empty tables with the keys and indexes of the deployed ones."""
    client, deployment = service.connection.dynamodb, service.connection.deployment
    for name in TABLES:
        deployed = getattr(deployment, f"{name}_table_name")
        table = client.describe_table(TableName=deployed)["Table"]
        indexes = [
            {part: index[part] for part in ("IndexName", "KeySchema", "Projection")}
            for index in table.get("GlobalSecondaryIndexes", [])
        ]
        client.create_table(
            TableName=name,
            AttributeDefinitions=table["AttributeDefinitions"],
            KeySchema=table["KeySchema"],
            BillingMode="PAY_PER_REQUEST",
            **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
        )
    try:
        yield client
    finally:
        for name in TABLES:
            client.delete_table(TableName=name)


def items(simulation: Simulation) -> dict[str, dict[str, Any]]:
    """Return every item of all tables as Python values; DynamoDB may write the same number in several ways."""
    tables = simulation.world.dynamodb.tables
    return {table: {key: from_item(item) for key, item in found.items()} for table, found in tables.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_simulation_ends_in_the_same_rows_in_memory_and_in_the_local_cloud(service: Service, seed: int) -> None:
    memory = Simulation(seed, lag=0)
    memory.run()
    with tables_like(service) as client:
        local = Simulation(seed, lag=0, tables=lambda lagging: LocalTables(client, lagging))
        local.run()
        assert local.calls == memory.calls
        assert items(local) == items(memory)
