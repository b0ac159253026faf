"""The batches table: batches, the slots that they hold, the champion, and the fenced claim of rows.

Items: ``BATCH#<id>``, ``SLOT#<n>`` (present while a batch holds it), ``CHAMPION``, ``HEALTH`` (jobs without output).
A batch that is not finished holds a slot, so the few slots are the list of all unfinished work.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code, from_item, is_condition_failed, to_item, unprocessed_keys
from functions.domain.batch import Batch, BatchStatus
from functions.domain.row import Status

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CLAIM_CHUNK = 99  # one transaction takes 100 actions: the fence and 99 rows
CONFLICT_TRIES = 6
MOST_SLOTS = 100  # one BatchGetItem
NEW = "attribute_not_exists(Id)"


@dataclass(frozen=True, kw_only=True)
class Health:
    """How many jobs in a row ended without one output, and when the last did (ISO 8601, "" for never)."""

    barren_jobs: int
    last_at: str


class Batches:
    """The protocol's conditional writes, each one atomic."""

    def __init__(self, client: DynamoDBClient, table: str, index_table: str) -> None:
        self._client = client
        self.table = table
        self._index_table = index_table

    def holders(self) -> dict[int, str]:
        """Which slots are taken, by which batch id; strongly consistent.

        All slots that a stage can have are looked at, so that lowering their number strands no batch.
        """
        keys: Any = [to_item({"Id": f"SLOT#{slot}"}) for slot in range(MOST_SLOTS)]
        held: dict[int, str] = {}
        while keys:
            answer = self._client.batch_get_item(RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}})
            for item in map(from_item, answer["Responses"].get(self.table, [])):
                held[int(item["Id"].removeprefix("SLOT#"))] = item["BatchId"]
            keys = unprocessed_keys(answer, self.table)
        return held

    def get(self, batch_id: str) -> Batch | None:
        """One batch, strongly consistent; None when there is none."""
        item = self._get(f"BATCH#{batch_id}")
        return _batch(item) if item else None

    def open(self, batch: Batch) -> bool:
        """Take the batch's slot and write the batch, both or neither; False when the slot is taken."""
        document = {
            "Id": f"BATCH#{batch.batch_id}",
            "BatchId": batch.batch_id,
            "Status": batch.status,
            "Slot": batch.slot,
            "ModelName": batch.model_name,
            "ModelPackage": batch.model_package,
            "WeightsSHA256": batch.weights_sha256,
            "CreatedAt": batch.created_at,
            "UpdatedAt": batch.updated_at,
        }
        slot = {"Id": f"SLOT#{batch.slot}", "BatchId": batch.batch_id}
        try:
            self._client.transact_write_items(
                TransactItems=[
                    {"Put": {"TableName": self.table, "Item": to_item(item), "ConditionExpression": NEW}}
                    for item in (slot, document)
                ]
            )
        except ClientError as error:
            if error_code(error) == "TransactionCanceledException":
                return False
            raise
        return True

    def claim(self, batch_id: str, job_name: str, upload_ids: Sequence[str], now: str) -> None:
        """Make the pending rows among ``upload_ids`` this batch's own, as long as the batch is Claiming.

        Rows that another batch has are left to it. Once the batch has left Claiming nothing changes any more: without
        that fence a slow claimer could give a row to a batch that was collected long ago, and the row would be lost.
        """
        for start in range(0, len(upload_ids), CLAIM_CHUNK):
            chunk = list(upload_ids[start : start + CLAIM_CHUNK])
            tries = 0
            while chunk:
                reasons = self._claim_chunk(batch_id, job_name, chunk, now)
                if not reasons:
                    break
                if reasons[0] == "ConditionalCheckFailed":
                    return
                kept = [one for one, why in zip(chunk, reasons[1:], strict=True) if why != "ConditionalCheckFailed"]
                if len(kept) == len(chunk):  # a conflict with another writer, not a lost row: again, a little later
                    tries += 1
                    if tries == CONFLICT_TRIES:
                        raise RuntimeError(f"Batch {batch_id} could not claim {len(chunk)} rows: {set(reasons)}")
                    time.sleep(0.05 * 2**tries)
                chunk = kept

    def _claim_chunk(self, batch_id: str, job_name: str, upload_ids: Sequence[str], now: str) -> list[str]:
        """Claim all or nothing: [] when all are claimed, otherwise a reason code for the fence and for each row."""
        fence: Any = {
            "ConditionCheck": {
                "TableName": self.table,
                "Key": to_item({"Id": f"BATCH#{batch_id}"}),
                "ConditionExpression": "#Status = :claiming",
                "ExpressionAttributeNames": {"#Status": "Status"},
                "ExpressionAttributeValues": to_item({":claiming": BatchStatus.CLAIMING}),
            }
        }
        values = {":pending": Status.PENDING, ":batched": Status.BATCHED, ":batch": batch_id}
        values |= {":job": job_name, ":now": now}
        rows: list[Any] = [
            {
                "Update": {
                    "TableName": self._index_table,
                    "Key": to_item({"UploadId": upload_id}),
                    "UpdateExpression": "SET #Status = :batched, BatchId = :batch, TransformJobName = :job, "
                    "UpdatedAt = :now",
                    "ConditionExpression": "#Status = :pending OR (#Status = :batched AND BatchId = :batch)",
                    "ExpressionAttributeNames": {"#Status": "Status"},
                    "ExpressionAttributeValues": to_item(values),
                }
            }
            for upload_id in upload_ids
        ]
        try:
            self._client.transact_write_items(TransactItems=[fence, *rows])
        except ClientError as error:
            if error_code(error) != "TransactionCanceledException":
                raise
            return [reason.get("Code", "None") for reason in error.response["CancellationReasons"]]
        return []

    def advance(self, batch_id: str, froms: Sequence[BatchStatus], to: BatchStatus, now: str) -> bool:
        """Move a batch on; False when it stands at none of ``froms`` (somebody else moved it)."""
        among = [f":from{number}" for number in range(len(froms))]
        try:
            self._client.update_item(
                TableName=self.table,
                Key=to_item({"Id": f"BATCH#{batch_id}"}),
                UpdateExpression="SET #Status = :to, UpdatedAt = :now",
                ConditionExpression=f"#Status IN ({', '.join(among)})",
                ExpressionAttributeNames={"#Status": "Status"},
                ExpressionAttributeValues=to_item({":to": to, ":now": now, **dict(zip(among, froms, strict=True))}),
            )
        except ClientError as error:
            if is_condition_failed(error):
                return False
            raise
        return True

    def finish(self, batch: Batch, *, barren: bool | None, now: str) -> bool:
        """Collected: the batch is done and its slot free. ``barren``: whether its job gave no output (None: no job).

        True for the one caller that finished it. Freeing the slot again is harmless, so a crash in between is too.
        """
        froms = [BatchStatus.READY, BatchStatus.SUBMITTED]
        finished = self.advance(batch.batch_id, froms, BatchStatus.COLLECTED, now)
        if finished and barren is not None:
            self._note_health(barren=barren, now=now)
        self.free_slot(batch)
        return finished

    def free_slot(self, batch: Batch) -> None:
        """Free the slot if this batch still holds it."""
        try:
            self._client.delete_item(
                TableName=self.table,
                Key=to_item({"Id": f"SLOT#{batch.slot}"}),
                ConditionExpression="BatchId = :batch",
                ExpressionAttributeValues=to_item({":batch": batch.batch_id}),
            )
        except ClientError as error:
            if not is_condition_failed(error):
                raise

    def health(self) -> Health:
        """How the last jobs went."""
        item = self._get("HEALTH") or {}
        return Health(barren_jobs=item.get("BarrenJobs", 0), last_at=item.get("LastAt", ""))

    def _note_health(self, *, barren: bool, now: str) -> None:
        update = "ADD BarrenJobs :one SET LastAt = :now" if barren else "SET BarrenJobs = :zero, LastAt = :now"
        values = {":one": 1, ":now": now} if barren else {":zero": 0, ":now": now}
        self._client.update_item(
            TableName=self.table,
            Key=to_item({"Id": "HEALTH"}),
            UpdateExpression=update,
            ExpressionAttributeValues=to_item(values),
        )

    def _get(self, item_id: str) -> dict[str, Any] | None:
        answer = self._client.get_item(TableName=self.table, Key=to_item({"Id": item_id}), ConsistentRead=True)
        return from_item(answer["Item"]) if "Item" in answer else None


def _batch(item: dict[str, Any]) -> Batch:
    return Batch(
        batch_id=item["BatchId"],
        status=BatchStatus(item["Status"]),
        slot=item["Slot"],
        model_name=item["ModelName"],
        model_package=item["ModelPackage"],
        created_at=item["CreatedAt"],
        updated_at=item["UpdatedAt"],
        weights_sha256=item.get("WeightsSHA256", ""),
    )
