"""Object keys where a stage hides them: a row has a keyed hash, and a table with separate grants has the key."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from functions.aws.items import from_item, to_item, unprocessed_keys
from functions.aws.patients import Patients

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HIDDEN = "hmac:"
MOST_KEYS = 100  # of one BatchGetItem


class HiddenKeys:
    """The map from Uploads to the keys that people chose. Permission to read it is permission to read keys."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def reveal(self, upload_ids: Iterable[str]) -> dict[str, str]:
        """Return the keys of Uploads by id, without Uploads that have no hidden key or a forgotten one."""
        ids, found = list(dict.fromkeys(upload_ids)), dict[str, str]()
        for start in range(0, len(ids), MOST_KEYS):
            wanted: Any = [to_item({"UploadId": one}) for one in ids[start : start + MOST_KEYS]]
            while wanted:
                answer = self._client.batch_get_item(
                    RequestItems={self._table: {"Keys": wanted, "ConsistentRead": True}}
                )
                items = map(from_item, answer["Responses"].get(self._table, []))
                found |= {item["UploadId"]: item["Key"] for item in items}
                wanted = unprocessed_keys(answer, self._table)
                if wanted:
                    time.sleep(0.05)
        return found

    def forget(self, upload_id: str) -> None:
        """Delete an Upload's key."""
        self._client.delete_item(TableName=self._table, Key=to_item({"UploadId": upload_id}))


class Keys(HiddenKeys):
    """The same, and the substitutes of new keys, which need the stage's key."""

    def __init__(self, client: DynamoDBClient, table: str, patients: Patients) -> None:
        super().__init__(client, table)
        self._patients = patients

    def hide(self, upload_id: str, key: str, expires_at: int | None = None) -> str:
        """Keep a new Upload's key until ``expires_at`` (seconds since 1970); return its substitute in the row."""
        document = {"UploadId": upload_id, "Key": key} | ({"ExpiresAt": expires_at} if expires_at else {})
        self._client.put_item(TableName=self._table, Item=to_item(document))
        return self.hidden(key)

    def hidden(self, key: str) -> str:
        """Return a key's substitute in rows: the same for each version of the object, so that it can be queried."""
        return HIDDEN + self._patients.hash_of_key(key)
