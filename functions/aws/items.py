"""Python values to DynamoDB attribute values and back, and the one exception of conditional writes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

_serializer = TypeSerializer()
_deserializer = TypeDeserializer()


def to_item(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return attribute values for a document of texts, whole and floating numbers, lists and maps.

    Most values are texts, here and in ``from_item``: boto3 asks of each whether it is something else before.
    """
    return {
        name: {"S": value} if type(value) is str else _serializer.serialize(_with_decimals(value))
        for name, value in document.items()
    }


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document that an item holds; numbers are int where whole, else float."""
    return {
        name: value["S"] if "S" in value else _without_decimals(_deserializer.deserialize(value))
        for name, value in item.items()
    }


def unprocessed_keys(answer: Mapping[str, Any], table: str) -> Any:
    """Return the keys that a BatchGetItem answer left out because the table was throttled."""
    return answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])


def error_code(error: ClientError) -> str:
    """Return the AWS error code of a ClientError; the HTTP status, as text, if the answer has none."""
    code = error.response.get("Error", {}).get("Code")
    return code or str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))


def error_message(error: ClientError) -> str:
    """Return the text of a ClientError, which may name a key; "" if the answer has none."""
    return error.response.get("Error", {}).get("Message") or ""


def is_condition_failed(error: ClientError) -> bool:
    """Return whether a conditional write found its condition false: another writer was first."""
    return error_code(error) == "ConditionalCheckFailedException"


def cancellations(error: ClientError) -> set[str]:
    """Return why a transaction was cancelled, in AWS's codes; empty for any other error."""
    if error_code(error) != "TransactionCanceledException":
        return set()
    return {one["Code"] for one in error.response.get("CancellationReasons", []) if one.get("Code")} - {"None"}


def _with_decimals(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {name: _with_decimals(inner) for name, inner in value.items()}
    return [_with_decimals(inner) for inner in value] if isinstance(value, list | tuple) else value


def _without_decimals(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {name: _without_decimals(inner) for name, inner in value.items()}
    return [_without_decimals(inner) for inner in value] if isinstance(value, list) else value
