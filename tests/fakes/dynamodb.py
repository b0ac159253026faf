"""DynamoDB in memory: conditional writes, transactions, and secondary indexes that may lag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fakes.expressions import Expression, used_in
from tests.fakes.wire import client_error

Item = dict[str, Any]


class FakeDynamoDB:
    """``keys`` names each table's keys, as "Partition" or "Partition/Sort"; ``indexes`` those of a table's index.

    ``lagging()`` decides whether a Query of an index sees an older state. In ``tables`` an item is under its key, or
    under both keys with a line between them.
    """

    def __init__(
        self, keys: dict[str, str], indexes: dict[str, tuple[str, str]], lagging: Callable[[], bool] = lambda: False
    ) -> None:
        self._keys = {table: tuple(names.split("/")) for table, names in keys.items()}
        self._indexes = indexes
        self._lagging = lagging
        self.tables: dict[str, dict[str, Item]] = {table: {} for table in keys}
        self._before: dict[str, dict[str, Item | None]] = {table: {} for table in keys}
        """What the last write of a table changed, as it was before: None for what was not there."""

    def lag(self) -> None:
        """Let a lagging Query see an index as empty from now on, until its table is written to."""
        self._before = {table: dict.fromkeys(items) for table, items in self.tables.items()}

    def put_item(self, **request: Any) -> Any:
        self._write([("Put", request)], "ConditionalCheckFailedException")

    def update_item(self, **request: Any) -> Any:
        self._write([("Update", request)], "ConditionalCheckFailedException")
        rows = self.tables[request["TableName"]]
        return {"Attributes": dict(rows[self._key(request)])} if request.get("ReturnValues") == "ALL_NEW" else {}

    def delete_item(self, **request: Any) -> Any:
        self._write([("Delete", request)], "ConditionalCheckFailedException")

    def transact_write_items(self, **request: Any) -> Any:
        actions = [next(iter(action.items())) for action in request["TransactItems"]]
        assert len(actions) <= 100
        self._write(actions, "TransactionCanceledException")

    def get_item(self, **request: Any) -> Any:
        assert request.get("ConsistentRead"), "the product reads the base table strongly consistent"
        item = self.tables[request["TableName"]].get(self._key(request))
        return {"Item": dict(item)} if item else {}

    def batch_get_item(self, **request: Any) -> Any:
        responses = {}
        for table, wanted in request["RequestItems"].items():
            assert wanted["ConsistentRead"]
            assert len(wanted["Keys"]) <= 100
            found = (self.tables[table].get(self._name(table, key)) for key in wanted["Keys"])
            responses[table] = [dict(item) for item in found if item]
        return {"Responses": responses, "UnprocessedKeys": {}}

    def query(self, **request: Any) -> Any:
        table = request["TableName"]
        index = request.get("IndexName")
        assert index or request.get("ConsistentRead"), "the product reads the base table strongly consistent"
        rows = self._late(table) if index and self._lagging() else self.tables[table]
        partition, sort = self._indexes[f"{table}/{index}"] if index else self._keys[table]
        condition = Expression(
            request["KeyConditionExpression"],
            request.get("ExpressionAttributeNames"),
            request.get("ExpressionAttributeValues"),
        )
        found = condition.among([item for item in list(rows.values()) if item and partition in item and sort in item])
        backwards = not request.get("ScanIndexForward", True)
        found.sort(key=lambda item: item[sort]["S"], reverse=backwards)
        names = (sort, *self._keys[table])
        if last := request.get("ExclusiveStartKey"):  # a page begins after an item, wherever that is by now
            at = next((n for n, item in enumerate(found) if all(item[name] == last[name] for name in names)), None)
            after = [item for item in found if (item[sort]["S"] > last[sort]["S"]) != backwards]
            found = after if at is None else found[at + 1 :]
        page = found[: request.get("Limit", len(found))]
        answer: dict[str, Any] = {"Count": len(found)}
        if request.get("Select") != "COUNT":
            answer["Items"] = [dict(item) for item in page]
            answer["Count"] = len(answer["Items"])
            if page and len(page) == request.get("Limit"):  # as DynamoDB: more, or none
                answer["LastEvaluatedKey"] = {name: page[-1][name] for name in names}
        return answer

    def _late(self, table: str) -> dict[str, Item | None]:
        """Return a table as it was before its last write."""
        return {**self.tables[table], **self._before[table]}

    def _write(self, actions: list[tuple[str, Any]], error: str) -> None:
        reasons = [{"Code": "None" if self._allowed(request) else "ConditionalCheckFailed"} for _, request in actions]
        if any(reason["Code"] != "None" for reason in reasons):
            raise client_error(error, "a condition is false", CancellationReasons=reasons)
        for table in {request["TableName"] for _, request in actions}:
            self._before[table] = {}
        for _, request in actions:
            table, key = request["TableName"], self._key(request)
            self._before[table][key] = self.tables[table].get(key)
        for kind, request in actions:
            self._apply(kind, request)

    def _allowed(self, request: Any) -> bool:
        condition = request.get("ConditionExpression")
        if not condition:
            return True
        item = self.tables[request["TableName"]].get(self._key(request), {})
        return self._expression(condition, request).holds(item)

    def _apply(self, kind: str, request: Any) -> None:
        rows, key = self.tables[request["TableName"]], self._key(request)
        if kind == "Put":
            rows[key] = dict(request["Item"])
        elif kind == "Delete":
            rows.pop(key, None)
        elif kind == "Update":
            rows[key] = self._expression(request["UpdateExpression"], request).apply(rows.get(key, request["Key"]))

    def _key(self, request: Any) -> str:
        return self._name(request["TableName"], request.get("Key") or request["Item"])

    def _name(self, table: str, item: Any) -> str:
        return "|".join(item[name]["S"] for name in self._keys[table])

    @staticmethod
    def _expression(text: str, request: Any) -> Expression:
        names, values = request.get("ExpressionAttributeNames"), request.get("ExpressionAttributeValues")
        used = used_in(request.get("ConditionExpression", "")) | used_in(request.get("UpdateExpression", ""))
        unused = (set(names or {}) | set(values or {})) - used
        assert not unused, f"DynamoDB refuses names and values that no expression uses: {unused}"
        return Expression(text, names, values)
