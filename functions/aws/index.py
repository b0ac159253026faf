"""The index table: one Row per Upload, and the queries of people and functions: of each shard a DynamoDB Query."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.aws.items import from_item, is_condition_failed, to_item, unprocessed_keys
from functions.aws.ordered import count, first, in_order
from functions.aws.shards import sharded, with_shards, without_shards
from functions.aws.trouble import loggable
from functions.domain.batch import Retry
from functions.domain.errors import RefusalCode
from functions.domain.row import CONTENT_DIGITS, NAMES, Row, Status, expiry, timestamp
from functions.names import BY_PATIENT, IndexName

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = logging.getLogger(__name__)

# A status in a row ends with its shard, but for rows from before 2026-11-29; no status is the beginning of another.
HELD = "begins_with(#Status, :batched) AND BatchId = :batch"
AWAITS_INGEST = (  # Row.awaits_ingest
    "begins_with(#Status, :received) OR (begins_with(#Status, :refused) AND #Code = :heldUp)"
)
READ_BY_VERSION = "begins_with(#Status, :completed) AND ModelPackage IN (:package, :packageOfOld)"
TRY_ATTRIBUTES = (NAMES["collect_tries"], NAMES["collect_tried_at"])
BATCH_GET = 100  # the most keys of one BatchGetItem
# What a row loses when it is Pending again: its job and its result. The result document stays in its bucket.
RESULT_ATTRIBUTES = (
    NAMES["batch_id"],
    NAMES["transform_job_name"],
    NAMES["lane"],
    NAMES["model_package"],
    NAMES["predicted_class"],
    NAMES["probabilities"],
    NAMES["typicality"],
    NAMES["unsure"],
    NAMES["timings_ms"],
    NAMES["prediction_notes"],
    NAMES["synthetic"],
    NAMES["prediction_key"],
    NAMES["completed_at"],
    NAMES["withdrawn_at"],
    NAMES["expires_at"],
)
GRAVESTONE_DAYS = 30  # an event waits at most 14 days in a queue and 14 among the dead letters


class Index:
    """The rows. Answers of global indexes are eventually consistent: hints for dispatch, good enough for people."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self.table = table

    def put_new(self, row: Row) -> bool:
        """Write the row of an Upload that has none, or awaits ingest; return False, and leave it, if it has another."""
        values = {":received": Status.RECEIVED, ":refused": Status.REFUSED, ":heldUp": RefusalCode.HELD_UP}
        try:
            self._client.put_item(
                TableName=self.table,
                Item=item_of(row),
                ConditionExpression=f"attribute_not_exists(UploadId) OR {AWAITS_INGEST}",
                ExpressionAttributeNames={"#Status": NAMES["status"], "#Code": NAMES["code"]},
                ExpressionAttributeValues=to_item(values),
            )
        except ClientError as error:
            if is_condition_failed(error):
                return False
            raise
        return True

    def get(self, upload_id: str) -> Row | None:
        """Return one row, or None if it does not exist; strongly consistent."""
        answer = self._client.get_item(TableName=self.table, Key=to_item({"UploadId": upload_id}), ConsistentRead=True)
        return row_in(answer["Item"]) if "Item" in answer else None

    def get_many(self, upload_ids: Iterable[str]) -> dict[str, Row]:
        """Return the rows of many Uploads by id, strongly consistent; ids without a row are left out."""
        ids = list(dict.fromkeys(upload_ids))
        rows: dict[str, Row] = {}
        for start in range(0, len(ids), BATCH_GET):
            keys: Any = [to_item({"UploadId": one}) for one in ids[start : start + BATCH_GET]]
            pause = 0.05
            while keys:
                request: Any = {self.table: {"Keys": keys, "ConsistentRead": True}}
                answer = self._client.batch_get_item(RequestItems=request)
                rows.update((row.upload_id, row) for row in _readable(answer["Responses"].get(self.table, [])))
                keys = unprocessed_keys(answer, self.table)
                if keys:  # throttled: botocore does not retry keys that a successful answer leaves out
                    time.sleep(pause)
                    pause = min(2 * pause, 2.0)
        return rows

    def find(
        self,
        index: IndexName,
        value: str,
        *,
        since: str | None = None,
        newest_first: bool = True,
        page: int | None = None,
    ) -> Iterator[Row]:
        """Yield the rows whose ``index`` attribute is ``value``, by time, and read about ``page`` rows at once.

        ``since`` is inclusive.
        """
        items = in_order(self._client, self.table, index, value, since=since, newest_first=newest_first, page=page)
        return _readable(items)

    def oldest(self, index: IndexName, value: str, most: int) -> list[Row]:
        """Return the oldest ``most`` rows of an ``index`` value, oldest first."""
        return first(self.find(index, value, newest_first=False, page=most), most)

    def pending(self, at_most: int, *, newest: bool = False) -> list[Row]:
        """Return the oldest pending rows, oldest first; or the ``newest``, newest first."""
        return first(self.find(IndexName.BY_STATUS, Status.PENDING, newest_first=newest, page=at_most), at_most)

    def count(self, index: IndexName, value: str, at_most: int | None = None) -> int:
        """Return how many rows an ``index`` value has; with ``at_most``, any larger number if there are more."""
        return count(self._client, self.table, index, value, at_most)

    def of_patient(self, patient_hash: str) -> Iterator[str]:
        """Yield the ids of one patient's Uploads, without rows from before PatientHash was recorded."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self.table,
            IndexName=BY_PATIENT,
            KeyConditionExpression="PatientHash = :patient",
            ExpressionAttributeValues=to_item({":patient": patient_hash}),
        )
        for page in pages:
            yield from (item["UploadId"]["S"] for item in page["Items"])

    def requeue(self, row: Row, batch_id: str, retry: Retry, now: str) -> bool:
        """Make a row that ``batch_id`` holds Pending again; return False if the batch no longer holds it."""
        changes: dict[str, Any] = {"Status": Status.PENDING, "Attempt": retry.attempt, "UpdatedAt": now}
        remove = ["BatchId", "TransformJobName", "Lane", *TRY_ATTRIBUTES]
        if retry.retry_group:
            changes["RetryGroup"] = retry.retry_group
        else:
            remove.append("RetryGroup")
        return self.leave_batch(row.upload_id, batch_id, changes, remove)

    def leave_batch(
        self,
        upload_id: str,
        batch_id: str,
        changes: Mapping[str, Any],
        remove: Sequence[str] = (),
        *,
        tried: Row | None = None,
    ) -> bool:
        """Change a row that ``batch_id`` holds; return False, and change nothing, if the batch no longer holds it.

        Because of this condition, collecting twice or late changes nothing. With ``tried``, the row must also have the
        tries that ``tried`` has: no other function has counted a try since, or taken one back.
        """
        condition: str = HELD
        values: dict[str, Any] = {":batched": Status.BATCHED, ":batch": batch_id}
        if tried:
            condition += " AND CollectTries = :seen AND CollectTriedAt = :triedAt"
            values |= {":seen": tried.collect_tries, ":triedAt": tried.collect_tried_at}
        return self._change(upload_id, changes, remove, condition, values)

    def note_try(self, row: Row, batch_id: str, now: str, before: str) -> bool:
        """Count a try to settle a row alone, before it is made, so that a try in which the function dies counts too.

        Returns False if the batch no longer holds the row, or another function began a try later than ``before``.
        """
        condition = f"{HELD} AND (attribute_not_exists(#CollectTriedAt) OR #CollectTriedAt < :before)"
        changes = {NAMES["collect_tries"]: (row.collect_tries or 0) + 1, NAMES["collect_tried_at"]: now}
        values = {":batched": Status.BATCHED, ":batch": batch_id, ":before": before}
        return self._change(row.upload_id, changes, (), condition, values)

    def forgive_try(self, row: Row, batch_id: str, now: str) -> None:
        """Take back the try that was counted at ``now``, if it is the last one. ``row`` is as it was before the try."""
        tries = row.collect_tries or 0
        counted = replace(row, collect_tries=tries + 1, collect_tried_at=now)
        self.leave_batch(row.upload_id, batch_id, {NAMES["collect_tries"]: tries}, tried=counted)

    def end_stalled(self, row: Row, changes: Mapping[str, Any]) -> bool:
        """Change a Received row; return False, and change nothing, if a try has moved it since ``row`` was read."""
        condition = "begins_with(#Status, :received) AND #UpdatedAt = :seen"
        values = {":received": Status.RECEIVED, ":seen": row.updated_at}
        return self._change(row.upload_id, changes, (), condition, values)

    def mark_withdrawn(self, upload_id: str, model_package: str, withdrawn_at: str) -> bool:
        """Mark a result of a withdrawn version; return False if it is marked, or no longer that version's."""
        condition = f"{READ_BY_VERSION} AND attribute_not_exists(#WithdrawnAt)"
        values = _read_by(upload_id, model_package)
        return self._change(upload_id, {"WithdrawnAt": withdrawn_at}, (), condition, values)

    def rescore(self, row: Row, now: str) -> bool:
        """Make a row that a version completed Pending again, to be read from the copy of ``now``.

        ``row`` may be stale: the table decides. Returns False if that version's result is no longer there.
        """
        values = _read_by(row.upload_id, row.model_package or "")
        changes = {"Status": Status.PENDING, "Attempt": 0, "UpdatedAt": now, "RequeuedAt": now}
        return self._change(row.upload_id, changes, RESULT_ATTRIBUTES, READ_BY_VERSION, values)

    def begin_erasure(self, row: Row, now: str, marks: Mapping[str, str] | None = None) -> bool:
        """Take a row that no batch holds out of the protocol; return False if it is no longer as ``row`` says.

        Its other attributes stay, so that an interrupted erasure finds it again. ``marks`` are attributes that identify
        the patient or study, for a row that has none.
        """
        if row.status == Status.BATCHED:
            return False
        condition = "begins_with(#Status, :status) AND #UpdatedAt = :seen"
        values = {":status": row.status, ":seen": row.updated_at}
        changes = {"Status": Status.ERASED, "UpdatedAt": now, **(marks or {})}
        return self._change(row.upload_id, changes, (NAMES["expires_at"],), condition, values)

    def bury(self, upload_id: str, now: datetime) -> bool:
        """Replace an Upload's row with a gravestone, which expires; return False if the row is not Erased."""
        gravestone = Row(
            upload_id=upload_id,
            status=Status.ERASED,
            updated_at=timestamp(now),
            expires_at=expiry(now, GRAVESTONE_DAYS),
        )
        try:
            self._client.put_item(
                TableName=self.table,
                Item=item_of(gravestone),
                ConditionExpression="attribute_not_exists(UploadId) OR begins_with(#Status, :erased)",
                ExpressionAttributeNames={"#Status": "Status"},
                ExpressionAttributeValues=to_item({":erased": Status.ERASED}),
            )
        except ClientError as error:
            if is_condition_failed(error):
                return False
            raise
        return True

    def _change(
        self,
        upload_id: str,
        changes: Mapping[str, Any],
        remove: Sequence[str],
        condition: str,
        values: Mapping[str, Any],
    ) -> bool:
        """Set and remove attributes of a row under a condition on ``#Status`` and any changed attribute."""
        changes = with_shards(changes, upload_id)
        names = {"#Status": "Status"} | {f"#{name}": name for name in (*changes, *remove)}
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in changes)
        if remove:
            update += " REMOVE " + ", ".join(f"#{name}" for name in remove)
        try:
            self._client.update_item(
                TableName=self.table,
                Key=to_item({"UploadId": upload_id}),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=to_item({**{f":{name}": value for name, value in changes.items()}, **values}),
            )
        except ClientError as error:
            if is_condition_failed(error):
                return False
            raise
        return True


def item_of(row: Row) -> dict[str, Any]:
    """Return a row as the table has it."""
    return to_item(with_shards(row.to_json(), row.upload_id))


def row_in(item: Mapping[str, Any]) -> Row:
    """Return the row in an item of the table."""
    return Row.from_json(without_shards(from_item(item)))


def _read_by(upload_id: str, model_package: str) -> dict[str, Any]:
    """Return the values of ``READ_BY_VERSION``."""
    package = {":package": sharded(model_package, upload_id), ":packageOfOld": model_package}
    return {":completed": Status.COMPLETED, **package}


def _readable(items: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """Yield the rows in some items. An item that is not a row, which a person may have put, must not hide others."""
    for item in items:
        try:
            yield row_in(item)
        except (KeyError, ValueError, TypeError) as error:
            logger.error("an item is not a row", extra={**_log_fields(item), **loggable(error)})


def _log_fields(item: Mapping[str, Any]) -> dict[str, str]:
    """Return ``Row.log_fields`` of an item that is not a row; its content only if it looks like a digest."""
    upload, content = (item.get(NAMES[name], {}).get("S", "") for name in ("upload_id", "content_sha256"))
    digest = {"content_sha256": content[:CONTENT_DIGITS]} if re.fullmatch("[0-9a-f]{64}", content) else {}
    return {"upload_id": upload, **digest}
