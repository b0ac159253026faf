"""The batches table: batches, the slots that they hold, the champion, and the fenced claim of rows.

Items: ``BATCH#<id>``, ``SLOT#<n>`` (present while a batch holds it), ``CHAMPION``, ``HEALTH`` (jobs without output, or
stopped), ``JOBS#<day>`` and ``RUNS#<day>`` (how many batches of either lane were opened on a day in UTC).
A batch that is not finished holds a slot, so the few slots are the list of all unfinished work.
"""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code, from_item, is_condition_failed, to_item, unprocessed_keys
from functions.aws.shards import sharded
from functions.domain.batch import PIECES, Batch, BatchStatus
from functions.domain.lane import Lane
from functions.domain.row import Status

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = logging.getLogger(__name__)

CLAIM_CHUNK = 99  # one transaction takes 100 actions: the fence and 99 rows
CONFLICT_TRIES = 6
UNCLAIMABLE = frozenset({"ConditionalCheckFailed", "ValidationError"})
MOST_SLOTS = 100  # one BatchGetItem
NEW = "attribute_not_exists(Id)"
COUNTED = {Lane.TRANSFORM: "JOBS", Lane.EXPRESS: "RUNS"}


@dataclass(frozen=True, kw_only=True)
class Health:
    """How many jobs in a row ended without any output, and when the last did (ISO 8601, "" for never).

    ``most_uploads``: how many uploads of ``slow_package``, the model of the last job that was stopped, fit in one job.
    """

    barren_jobs: int
    last_at: str
    most_uploads: int
    slow_package: str


@dataclass(frozen=True, kw_only=True)
class Held:
    """The batch that holds a slot, and its lane. The slot's number does not say that: ``slots`` may have changed."""

    batch_id: str
    lane: Lane


class Opening(enum.Enum):
    """The result of opening a batch: it is open, its slot was taken, or the day's jobs are used up."""

    OPENED = enum.auto()
    TAKEN = enum.auto()
    USED_UP = enum.auto()


class Batches:
    """The protocol's conditional writes, each one atomic."""

    def __init__(self, client: DynamoDBClient, table: str, index_table: str) -> None:
        self._client = client
        self.table = table
        self._index_table = index_table

    def holders(self) -> dict[int, str]:
        """Return which slots are taken, by which batch id; strongly consistent."""
        return {slot: held.batch_id for slot, held in self.held().items()}

    def held(self) -> dict[int, Held]:
        """Return which slots are taken, by what; strongly consistent.

        Reads all slots that a stage can have, so that lowering their number strands no batch.
        """
        keys: Any = [to_item({"Id": f"SLOT#{slot}"}) for slot in range(MOST_SLOTS)]
        held: dict[int, Held] = {}
        while keys:
            answer = self._client.batch_get_item(RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}})
            for item in map(from_item, answer["Responses"].get(self.table, [])):
                one = Held(batch_id=item["BatchId"], lane=Lane(item.get("Lane", Lane.TRANSFORM)))
                held[int(item["Id"].removeprefix("SLOT#"))] = one
            keys = unprocessed_keys(answer, self.table)
        return held

    def get(self, batch_id: str) -> Batch | None:
        """Return one batch, or None if it does not exist; strongly consistent."""
        item = self._get(f"BATCH#{batch_id}")
        return _batch(item) if item else None

    def jobs_on(self, day: str) -> int:
        """Return how many batches were opened on a day in UTC (its ISO date) for jobs; strongly consistent."""
        return self._opened(Lane.TRANSFORM, day)

    def runs_on(self, day: str) -> int:
        """Return how many batches were opened on a day in UTC (its ISO date) for the express lane; the same."""
        return self._opened(Lane.EXPRESS, day)

    def _opened(self, lane: Lane, day: str) -> int:
        return int((self._get(f"{COUNTED[lane]}#{day}") or {}).get("Jobs", 0))

    def open(self, batch: Batch, most_per_day: int) -> Opening:
        """Take the batch's slot, write the batch and count it on its day in its lane, all or nothing.

        The count is in the same transaction, so a batch counts once, also if the function dies: resuming opens nothing.
        """
        document = {
            "Id": f"BATCH#{batch.batch_id}",
            "BatchId": batch.batch_id,
            "Status": batch.status,
            "Slot": batch.slot,
            "ModelName": batch.model_name,
            "ModelPackage": batch.model_package,
            "WeightsSHA256": batch.weights_sha256,
            "ArtifactSHA256": batch.artifact_sha256,
            "Lane": batch.lane,
            "CreatedAt": batch.created_at,
            "UpdatedAt": batch.updated_at,
        }
        slot = {"Id": f"SLOT#{batch.slot}", "BatchId": batch.batch_id, "Lane": batch.lane}
        writes: list[Any] = [
            {"Put": {"TableName": self.table, "Item": to_item(item), "ConditionExpression": NEW}}
            for item in (slot, document)
        ]
        counted: Any = {
            "Update": {
                "TableName": self.table,
                "Key": to_item({"Id": f"{COUNTED[batch.lane]}#{day_of(batch.created_at)}"}),
                "UpdateExpression": "ADD Jobs :one",
                "ConditionExpression": "attribute_not_exists(Jobs) OR Jobs < :most",
                "ExpressionAttributeValues": to_item({":one": 1, ":most": most_per_day}),
            }
        }
        try:
            self._client.transact_write_items(TransactItems=[*writes, counted])
        except ClientError as error:
            if error_code(error) != "TransactionCanceledException":
                raise
            used_up = error.response["CancellationReasons"][-1].get("Code") == "ConditionalCheckFailed"
            return Opening.USED_UP if used_up else Opening.TAKEN
        return Opening.OPENED

    def claim(
        self, batch_id: str, job_name: str, upload_ids: Sequence[str], now: str, lane: Lane = Lane.TRANSFORM
    ) -> None:
        """Assign the pending rows among ``upload_ids`` to this batch, while the batch is Claiming.

        Rows of another batch stay with it. Once the batch has left Claiming, nothing changes: without that fence a slow
        claimer could assign a row to a batch that was collected long ago, and the row would be lost.
        """
        for start in range(0, len(upload_ids), CLAIM_CHUNK):
            chunk = list(upload_ids[start : start + CLAIM_CHUNK])
            tries = 0
            while chunk:
                reasons = self._claim_chunk(batch_id, job_name, chunk, now, lane)
                if not reasons:
                    break
                if reasons[0] == "ConditionalCheckFailed":
                    return
                kept = [one for one, why in zip(chunk, reasons[1:], strict=True) if why not in UNCLAIMABLE]
                if "ValidationError" in reasons:  # a row that DynamoDB always rejects must not keep others from a job
                    logger.error("rows cannot be claimed", extra={"batch": batch_id, "rows": len(chunk) - len(kept)})
                if len(kept) == len(chunk):  # a conflict with another writer, not a lost row: try again a little later
                    tries += 1
                    if tries == CONFLICT_TRIES:
                        raise RuntimeError(f"Batch {batch_id} could not claim {len(chunk)} rows: {set(reasons)}")
                    time.sleep(0.05 * 2**tries)
                chunk = kept

    def _claim_chunk(self, batch_id: str, job_name: str, upload_ids: Sequence[str], now: str, lane: Lane) -> list[str]:
        """Claim all or nothing; return [] if all are claimed, else a reason code for the fence and for each row."""
        fence: Any = {
            "ConditionCheck": {
                "TableName": self.table,
                "Key": to_item({"Id": f"BATCH#{batch_id}"}),
                "ConditionExpression": "#Status = :claiming",
                "ExpressionAttributeNames": {"#Status": "Status"},
                "ExpressionAttributeValues": to_item({":claiming": BatchStatus.CLAIMING}),
            }
        }
        values = {":pending": Status.PENDING, ":held": Status.BATCHED, ":batch": batch_id, ":now": now}
        update, names = "SET #Status = :batched, BatchId = :batch, TransformJobName = :job, UpdatedAt = :now", {}
        if lane == Lane.EXPRESS:
            update, names, values = f"{update}, #Lane = :lane", {"#Lane": "Lane"}, values | {":lane": lane}
        rows: list[Any] = [
            {
                "Update": {
                    "TableName": self._index_table,
                    "Key": to_item({"UploadId": upload_id}),
                    "UpdateExpression": update,
                    "ConditionExpression": "begins_with(#Status, :pending) "
                    "OR (begins_with(#Status, :held) AND BatchId = :batch)",
                    "ExpressionAttributeNames": {"#Status": "Status", **names},
                    "ExpressionAttributeValues": to_item(
                        values | {":batched": sharded(Status.BATCHED, upload_id), ":job": sharded(job_name, upload_id)}
                    ),
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
        """Change a batch's status; return False if it is not among ``froms`` (another function has changed it)."""
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

    def note_tries(self, batch_id: str, tries: int, first_tried_at: str) -> None:
        """Write how many tries to advance a batch count, and when the first of them was."""
        self._client.update_item(
            TableName=self.table,
            Key=to_item({"Id": f"BATCH#{batch_id}"}),
            UpdateExpression="SET Tries = :tries, FirstTriedAt = :first",
            ConditionExpression="attribute_exists(Id)",
            ExpressionAttributeValues=to_item({":tries": tries, ":first": first_tried_at}),
        )

    def finish(self, batch: Batch, *, answered: int | None, now: str, stopped_of: int = 0) -> bool:
        """Set a batch to Collected and free its slot; return True only to the caller that finished it.

        ``answered`` counts the outputs of its job (None: it had no job). ``stopped_of`` counts the uploads of a job
        that was stopped because it took too long. Freeing the slot again is harmless, so a crash in between is too.
        """
        froms = [BatchStatus.READY, BatchStatus.SUBMITTED]
        finished = self.advance(batch.batch_id, froms, BatchStatus.COLLECTED, now)
        if finished and answered is not None:
            self._note_health(batch, answered, stopped_of, now)
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
        """Return how the last jobs went."""
        item = self._get("HEALTH") or {}
        return Health(
            barren_jobs=item.get("BarrenJobs", 0),
            last_at=item.get("LastAt", ""),
            most_uploads=item.get("MostUploads", 0),
            slow_package=item.get("SlowPackage", ""),
        )

    def _note_health(self, batch: Batch, answered: int, stopped_of: int, now: str) -> None:
        values: dict[str, Any] = {":now": now}
        if answered:
            update, values[":zero"] = "SET BarrenJobs = :zero, LastAt = :now", 0
        elif batch.lane == Lane.EXPRESS:
            self._note_barren_run(now)
            return
        else:
            update, values[":one"] = "ADD BarrenJobs :one SET LastAt = :now", 1
        most = self._most_uploads(batch, answered, stopped_of) if batch.lane == Lane.TRANSFORM else 0
        if most:
            update += ", MostUploads = :most, SlowPackage = :package"
            values |= {":most": most, ":package": batch.model_package}
        self._client.update_item(
            TableName=self.table,
            Key=to_item({"Id": "HEALTH"}),
            UpdateExpression=update,
            ExpressionAttributeValues=to_item(values),
        )

    def _note_barren_run(self, now: str) -> None:
        """Count a run without output as one barren job at most: the next batch is a job, and no job has to pause.

        Many runs at once may leave nothing, and say nothing about jobs.
        """
        try:
            self._client.update_item(
                TableName=self.table,
                Key=to_item({"Id": "HEALTH"}),
                UpdateExpression="SET BarrenJobs = :one, LastAt = :now",
                ConditionExpression="attribute_not_exists(BarrenJobs) OR BarrenJobs < :one",
                ExpressionAttributeValues=to_item({":one": 1, ":now": now}),
            )
        except ClientError as error:
            if not is_condition_failed(error):
                raise

    def _most_uploads(self, batch: Batch, answered: int, stopped_of: int) -> int:
        """Return the new bound on uploads of a model whose jobs take too long, or 0 for no change.

        It shrinks after a stop and grows after a job that reached it. Two collectors at once may both start from the
        older bound; the next job corrects that.
        """
        if stopped_of:
            return max(1, stopped_of // PIECES)
        health = self.health()
        filled = health.slow_package == batch.model_package and answered >= health.most_uploads
        return 2 * health.most_uploads if filled else 0

    def _get(self, item_id: str) -> dict[str, Any] | None:
        answer = self._client.get_item(TableName=self.table, Key=to_item({"Id": item_id}), ConsistentRead=True)
        return from_item(answer["Item"]) if "Item" in answer else None


def day_of(moment: str) -> str:
    """Return the day in UTC of a timestamp."""
    return moment[: len("2026-11-23")]


def _batch(item: dict[str, Any]) -> Batch:
    return Batch(
        batch_id=item["BatchId"],
        status=BatchStatus(item["Status"]),
        slot=item["Slot"],
        model_name=item["ModelName"],
        model_package=item["ModelPackage"],
        created_at=item["CreatedAt"],
        updated_at=item["UpdatedAt"],
        tries=item.get("Tries", 0),
        first_tried_at=item.get("FirstTriedAt", ""),
        weights_sha256=item.get("WeightsSHA256", ""),
        artifact_sha256=item.get("ArtifactSHA256", ""),
        lane=Lane(item.get("Lane", Lane.TRANSFORM)),
    )
