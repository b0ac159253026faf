"""What became of the DICOM results of each revision, and the events that ask for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from functions.aws.items import from_item, to_item
from functions.aws.studies import LONGEST_WAIT_DAYS
from functions.domain.errors import MalformedEvent
from functions.domain.row import expiry, timestamp
from functions.names import STUDIES

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DELIVERY = "delivery#"


def announced(body: str) -> str:
    """Return the key of the document that an event announces; raise MalformedEvent if it is about none."""
    try:
        key = json.loads(body)["detail"]["ResultKey"]
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedEvent("The event has no detail.ResultKey.") from error
    if not isinstance(key, str) or not key.startswith(STUDIES):
        raise MalformedEvent(f"The event's detail.ResultKey is no key below {STUDIES}.")
    return key


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The DICOM results of one revision: their keys by kind, or why there are none (a code and a sentence).

    ``notes`` are keywords of attributes that the reference object has and that could not be copied. ``undrawn``
    says why heat pictures were not drawn, codes by name. ``rejects`` are the earlier revisions that the note among the
    keys withdraws. ``not_rejected`` is a code that says why there is no such note though results are void.
    """

    revision: int
    keys: Mapping[str, str]
    code: str = ""
    reason: str = ""
    notes: Sequence[str] = ()
    undrawn: Mapping[str, str] = field(default_factory=dict)
    rejects: Sequence[int] = ()
    not_rejected: str = ""


class Deliveries:
    """The items ``delivery#000001`` of the studies table, beside those of the revisions."""

    def __init__(self, client: DynamoDBClient, table: str, kept_days: int = 0) -> None:
        """Use ``table``; items expire with those of the study, whose rows are kept ``kept_days`` (0: until erased)."""
        self._client = client
        self._table = table
        self._kept_days = kept_days

    def keep(self, study_instance_uid: str, delivery: Delivery, now: datetime) -> None:
        """Keep what became of a revision's results; a repeated delivery replaces it by the same."""
        values = {
            "StudyInstanceUID": study_instance_uid,
            "Item": _item(delivery.revision),
            "Revision": delivery.revision,
            "DeliveredAt": timestamp(now),
            "Keys": dict(delivery.keys),
            "Code": delivery.code,
            "Reason": delivery.reason,
            "Notes": list(delivery.notes),
            "Undrawn": dict(delivery.undrawn),
            "Rejects": list(delivery.rejects),
            "NotRejected": delivery.not_rejected,
            "ExpiresAt": expiry(now, self._kept_days and self._kept_days + LONGEST_WAIT_DAYS),
        }
        kept = {name: value for name, value in values.items() if value not in ("", None, {}, [])}
        self._client.put_item(TableName=self._table, Item=to_item(kept))

    def forget(self, study_instance_uid: str, revision: int) -> None:
        """Delete what became of a revision, of a study that is erased."""
        key = {"StudyInstanceUID": study_instance_uid, "Item": _item(revision)}
        self._client.delete_item(TableName=self._table, Key=to_item(key))

    def of_study(self, study_instance_uid: str) -> list[Delivery]:
        """Return what became of each revision so far, the first first; strongly consistent."""
        found: list[Delivery] = []
        request: Any = {
            "TableName": self._table,
            "KeyConditionExpression": "#study = :study AND begins_with(#item, :prefix)",
            "ExpressionAttributeNames": {"#study": "StudyInstanceUID", "#item": "Item"},
            "ExpressionAttributeValues": to_item({":study": study_instance_uid, ":prefix": DELIVERY}),
            "ConsistentRead": True,
        }
        while True:
            answer = self._client.query(**request)
            found += [_delivery(from_item(item)) for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return found
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def _item(revision: int) -> str:
    return f"{DELIVERY}{revision:06d}"


def _delivery(item: Mapping[str, Any]) -> Delivery:
    return Delivery(
        revision=item["Revision"],
        keys=item.get("Keys", {}),
        code=item.get("Code", ""),
        reason=item.get("Reason", ""),
        notes=item.get("Notes", ()),
        undrawn=item.get("Undrawn", {}),
        rejects=item.get("Rejects", ()),
        not_rejected=item.get("NotRejected", ""),
    )
