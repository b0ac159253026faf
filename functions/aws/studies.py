"""The studies table: the state of each study, its members, its sender's marker, and its revisions.

Partition key StudyInstanceUID; sort key Item: ``#study``, ``#marker``, ``member#<series>#<upload>``,
``revision#000001``.
The members beside the rows make the list of a study strongly consistent, which no index of the rows is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.aws.items import cancellations, from_item, is_condition_failed, to_item
from functions.aws.ordered import in_order
from functions.aws.shards import shard_of, with_shards
from functions.aws.study_items import (
    IN_INDEX,
    MARKER,
    MEMBER,
    OPEN,
    REVISION,
    STATE,
    UNANNOUNCED,
    WHILE_OPEN,
    Listed,
    is_study,
    last_of,
    listed_in,
    member_of,
    revision_name,
    state_of,
    study_in,
    unchanged,
)
from functions.domain import marker as markers
from functions.domain.marker import Marker
from functions.domain.row import Row, Status, expiry, timestamp
from functions.domain.study import Revision, State, Study
from functions.names import StudyIndexName

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MOST_MEMBERS_OF_A_PAGE = 500
# Items stay this much longer than the rows they lead to: a row expires so many days after its end, which comes later
# than its arrival (`functions.flow.ingesting.LONGEST_WAIT_DAYS`).
LONGEST_WAIT_DAYS = 90
FALSE_CONDITION = "ConditionalCheckFailed"


class Studies:
    """The studies. Each write is one item, but for a closing, which writes the state and the revision together."""

    def __init__(self, client: DynamoDBClient, table: str, kept_days: int = 0) -> None:
        """Use ``table``; items expire some time after their rows, which are kept ``kept_days`` (0: until erased)."""
        self._client = client
        self.table = table
        self._kept_days = kept_days

    def add_member(self, row: Row, now: datetime) -> None:
        """Write the member of a row that was written just now."""
        self._client.put_item(TableName=self.table, Item=to_item(self._member(row, now)))

    def add_known(self, row: Row, index_table: str, now: datetime) -> None:
        """Write the member of a row that has been there for a while, unless the row is erased by now."""
        living = {f":{one}": one for one in Status if one not in {Status.ERASED, Status.RECEIVED}}
        check = {
            "TableName": index_table,
            "Key": to_item({"UploadId": row.upload_id}),
            "ConditionExpression": " OR ".join(f"begins_with(#Status, {one})" for one in living),
            "ExpressionAttributeNames": {"#Status": "Status"},
            "ExpressionAttributeValues": to_item(living),
        }
        put = {"TableName": self.table, "Item": to_item(self._member(row, now))}
        actions: Any = [{"ConditionCheck": check}, {"Put": put}]
        try:
            self._client.transact_write_items(TransactItems=actions)
        except ClientError as error:
            if FALSE_CONDITION not in cancellations(error):  # a conflict passes: the message comes again
                raise

    def _member(self, row: Row, now: datetime) -> dict[str, Any]:
        return member_of(row) | self._expiry(now)

    def arrived(self, study: str, now: datetime, quiet_seconds: int) -> None:
        """Open a study, and note that something of it has arrived: it is quiet ``quiet_seconds`` later."""
        until = timestamp(now + timedelta(seconds=quiet_seconds))
        self._client.update_item(**self._touching(study, now, {"QuietUntil": until, "DueAt": until}))

    def touch(self, study: str, now: datetime) -> None:
        """Open a study, to be looked at now, and note that a row of it which had ended has changed."""
        self._client.update_item(**self._touching(study, now, {"DueAt": timestamp(now)}))

    def mark(self, marker: Marker, received_at: str, now: datetime, quiet_seconds: int) -> None:
        """Keep a sender's marker, unless a later one is kept, and open its study, to be looked at now."""
        study, until = marker.study_instance_uid, timestamp(now + timedelta(seconds=quiet_seconds))
        due = {"QuietUntil": until, "DueAt": timestamp(now), "MarkedAt": timestamp(now)}
        key = {"StudyInstanceUID": study, "Item": MARKER}
        try:
            self._client.put_item(
                TableName=self.table,
                Item=to_item(key | {"ReceivedAt": received_at, "Series": marker.text(), **self._expiry(now)}),
                ConditionExpression="attribute_not_exists(#at) OR #at < :at",
                ExpressionAttributeNames={"#at": "ReceivedAt"},
                ExpressionAttributeValues=to_item({":at": received_at}),
            )
        except ClientError as error:
            if not is_condition_failed(error):
                raise
        self._client.update_item(**self._touching(study, now, due))

    def reopen(self, study: str, now: datetime) -> bool:
        """Open a study that is closed; return False, and change nothing, if it is open or unknown."""
        try:
            self._client.update_item(**self._touching(study, now, {"DueAt": timestamp(now)}, only_closed=True))
        except ClientError as error:
            if is_condition_failed(error):
                return False
            raise
        return True

    def fence(self, study: str) -> Study:
        """Let no closing that has begun end; return the study. For an erasure, which touches it when it has ended."""
        answer = self._client.update_item(
            TableName=self.table,
            Key=to_item(state_of(study)),
            UpdateExpression="ADD #Erasures :one",
            ExpressionAttributeNames={"#Erasures": "Erasures"},
            ExpressionAttributeValues=to_item({":one": 1}),
            ReturnValues="ALL_NEW",
        )
        return study_in(from_item(answer["Attributes"]))

    def read_anew(self, study: str, now: datetime) -> None:
        """Open a study whose revisions are deleted: its next closing makes one, whatever its inputs."""
        request = self._touching(study, now, {"DueAt": timestamp(now)})
        names = {f"#{name}": name for name in ("Inputs", "ResultKey", "PredictedClass", "ClosedAt")}
        request["UpdateExpression"] += f" REMOVE {', '.join(names)}"
        request["ExpressionAttributeNames"] |= names
        self._client.update_item(**request)

    def get(self, study: str) -> Study | None:
        """Return a study, strongly consistent; None if it is not known."""
        item = self._get(study, STATE)
        return study_in(item) if item else None

    def seen(self, study: str) -> Study | None:
        """Return a study, strongly consistent, for people: by a Query, since readers may not get items."""
        items = (item for page in self._items(study, STATE) for item in page if is_study(item))
        return next(map(study_in, items), None)

    def marker(self, study: str) -> Marker | None:
        """Return what the study's sender says that it has; None if it has not said so."""
        item = self._get(study, MARKER)
        return markers.kept(study, item["Series"]) if item else None

    def open(self, shards: Collection[int] | None = None, page: int | None = None) -> Iterator[Study]:
        """Yield the open studies, all or of some shards, those that are due first; a hint, which may be out of date.

        ``page`` is about how many are read at once.
        """
        yield from self._to_do(OPEN, shards, page)

    def unannounced(self, shards: Collection[int] | None = None) -> Iterator[Study]:
        """Yield the closed studies with a revision to announce, the oldest first; a hint, as ``open``."""
        yield from self._to_do(UNANNOUNCED, shards)

    def _to_do(self, what: str, shards: Collection[int] | None, page: int | None = None) -> Iterator[Study]:
        by_due = StudyIndexName.BY_DUE
        found = in_order(self._client, self.table, by_due, what, newest_first=False, page=page, shards=shards)
        for study in self._studies_in(found):
            if shards is None or shard_of(study.study_instance_uid) in shards:
                yield study

    def note_announced(self, study: Study) -> None:
        """Note that the revisions that a study had when it was read are announced; it may have changed since."""
        uid, values = study.study_instance_uid, {":number": study.revision}
        update, condition = "SET #Announced = :number", "begins_with(#Open, :unannounced) AND #Revision = :number"
        names = {f"#{name}": name for name in ("Announced", *IN_INDEX, "Revision")}
        done = values | {":unannounced": UNANNOUNCED}
        if not self._update(uid, f"{update} REMOVE #Open, #DueAt", condition, names, done):
            # It is open again, or has a further revision, or is erased.
            names = {"#Announced": "Announced", "#State": "State"}
            self._update(uid, update, "attribute_exists(#State)", names, values)

    def of_class(self, label: str, since: str = "") -> Iterator[Study]:
        """Yield the studies whose last revision has a class, closed since a time, the newest first; for people."""
        yield from self._query(StudyIndexName.BY_CLASS, label, since)

    def closed(self, since: str = "") -> Iterator[Study]:
        """Yield the closed studies, closed since a time, the newest first; for people."""
        yield from self._query(StudyIndexName.BY_STATE, State.CLOSED, since)

    def members(self, study: str) -> Iterator[list[Listed]]:
        """Yield the members by series and upload, in pages; strongly consistent."""
        for items in self._items(study, MEMBER, MOST_MEMBERS_OF_A_PAGE):
            yield [listed_in(item) for item in items]

    def revisions(self, study: str) -> list[Revision]:
        """Return the revisions of a study, the first first; strongly consistent."""
        return [Revision.from_json(item) for items in self._items(study, REVISION) for item in items]

    def revision(self, study: str, number: int) -> Revision | None:
        """Return one revision of a study; None if there is none."""
        item = self._get(study, revision_name(number))
        return Revision.from_json(item) if item else None

    def begin(self, study: Study, now: datetime) -> bool:
        """Note that a closing begins, and put the study off; return False if it has changed since it was read.

        It is noted before the members are read: a study that ends the function is behind all others the next time.
        """
        return self._change(study, {"DueAt": study.later(now), "TriedAt": timestamp(now)})

    def count_round(self, study: Study, now: datetime) -> bool:
        """Count a round of reading again, before it begins; return False if the study has changed meanwhile."""
        return self._change(study, {"Rounds": study.rounds + 1, "DueAt": study.later(now)})

    def close(self, study: Study, revision: Revision | None, now: datetime) -> bool:
        """Close a study, with a revision if there is a new one; return False if it has changed since it was read."""
        changes: dict[str, Any] = {"State": State.CLOSED}
        if revision or study.announced < study.revision:
            changes |= {"Open": UNANNOUNCED, "DueAt": timestamp(now)}
            return self._conclude(study, revision, now, changes, WHILE_OPEN, fence="Touches")
        return self._conclude(study, revision, now, changes, (*WHILE_OPEN, *IN_INDEX), fence="Touches")

    def cut(self, study: Study, revision: Revision | None, now: datetime) -> bool:
        """Make a revision of a study that has been open for too long and stays open, as from now.

        Uploads may come meanwhile: they are of the next revision. Returns False if another closing was first.
        """
        changes = {"OpenedAt": timestamp(now)}
        return self._conclude(study, revision, now, changes, ("MarkedAt", "Rounds"), fence="OpenedAt")

    def drop(self, study: Study) -> bool:
        """Delete a study without members and revisions; return False if it has changed since it was read."""
        condition, names, values = unchanged(study, "Touches")
        try:
            self._client.delete_item(
                TableName=self.table,
                Key=to_item(state_of(study.study_instance_uid)),
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=to_item(values),
            )
        except ClientError as error:
            if is_condition_failed(error):
                return False
            raise
        self.forget(study.study_instance_uid, MARKER)
        return True

    def forget(self, study: str, item: str) -> None:
        """Delete one item of a study."""
        self._client.delete_item(TableName=self.table, Key=to_item({"StudyInstanceUID": study, "Item": item}))

    def items(self, study: str) -> Iterator[str]:
        """Yield the names of all items of a study."""
        for items in self._items(study, ""):
            yield from (item["Item"] for item in items)

    def _expiry(self, now: datetime, more_days: int = LONGEST_WAIT_DAYS) -> dict[str, int]:
        """Return when an item expires that is written now; nothing where rows are kept until they are erased."""
        at = expiry(now, self._kept_days and self._kept_days + more_days)
        return {"ExpiresAt": at} if at else {}

    def _touching(self, study: str, now: datetime, due: Mapping[str, str], *, only_closed: bool = False) -> Any:
        """Return the update that opens a study and counts a touch."""
        changes = with_shards({"State": State.OPEN, "Open": OPEN, **due, **self._expiry(now)}, study)
        names = {f"#{name}": name for name in (*changes, "Touches", "OpenedAt")}
        values = {f":{name}": value for name, value in changes.items()} | {":one": 1, ":now": timestamp(now)}
        sets = [f"#{name} = :{name}" for name in changes] + ["#OpenedAt = if_not_exists(#OpenedAt, :now)"]
        request: dict[str, Any] = {"UpdateExpression": f"SET {', '.join(sets)} ADD #Touches :one"}
        if only_closed:
            values[":closed"] = State.CLOSED
            request["ConditionExpression"] = "begins_with(#State, :closed)"
        return request | {
            "TableName": self.table,
            "Key": to_item(state_of(study)),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": to_item(values),
        }

    def _change(self, study: Study, changes: Mapping[str, Any]) -> bool:
        """Set attributes of an open study that has not changed since it was read."""
        condition, names, values = unchanged(study, "Touches")
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in changes)
        names |= {f"#{name}": name for name in changes}
        values |= {f":{name}": value for name, value in changes.items()}
        return self._update(study.study_instance_uid, update, condition, names, values)

    def _update(
        self, study: str, update: str, condition: str, names: Mapping[str, str], values: Mapping[str, Any]
    ) -> bool:
        """Update a study's state; return False, and change nothing, if the condition is false."""
        try:
            self._client.update_item(
                TableName=self.table,
                Key=to_item(state_of(study)),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=to_item(values),
            )
        except ClientError as error:
            if is_condition_failed(error):
                return False
            raise
        return True

    def _conclude(
        self,
        study: Study,
        revision: Revision | None,
        now: datetime,
        changes: Mapping[str, Any],
        remove: Sequence[str],
        *,
        fence: str,
    ) -> bool:
        """End a closing: change the study, and write its revision with it, if the study is as it was read."""
        condition, names, values = unchanged(study, fence)
        sets = with_shards(
            {**changes, **(last_of(revision, timestamp(now)) if revision else {})}, study.study_instance_uid
        )
        remove = (*remove, *(("PredictedClass",) if revision and not revision.predicted_class else ()))
        values |= {f":{name}": value for name, value in sets.items()}
        update = {
            "TableName": self.table,
            "Key": to_item(state_of(study.study_instance_uid)),
            "UpdateExpression": (
                f"SET {', '.join(f'#{name} = :{name}' for name in sets)} "
                f"REMOVE {', '.join(f'#{name}' for name in remove)}"
            ),
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names | {f"#{name}": name for name in (*sets, *remove)},
            "ExpressionAttributeValues": to_item(values),
        }
        actions: list[Any] = [{"Update": update}]
        if revision:
            item = {"Item": revision_name(revision.number), **revision.to_json(), **self._expiry(now, 0)}
            actions.append(
                {
                    "Put": {
                        "TableName": self.table,
                        "Item": to_item(item),
                        "ConditionExpression": "attribute_not_exists(StudyInstanceUID)",
                    }
                }
            )
        try:
            self._client.transact_write_items(TransactItems=actions)
        except ClientError as error:
            if cancellations(error) & {FALSE_CONDITION, "TransactionConflict"}:
                return False
            raise
        return True

    def _get(self, study: str, item: str) -> dict[str, Any] | None:
        """Return one item, strongly consistent. By a Query, so that who may read a study needs one permission."""
        return next((found for items in self._items(study, item, 1) for found in items), None)

    def _items(self, study: str, prefix: str, most: int | None = None) -> Iterator[list[dict[str, Any]]]:
        """Yield the items of a study whose names begin with ``prefix``, page by page; strongly consistent."""
        condition = "#study = :study" + (" AND begins_with(#item, :prefix)" if prefix else "")
        request: dict[str, Any] = {
            "TableName": self.table,
            "ConsistentRead": True,
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": {"#study": "StudyInstanceUID"} | ({"#item": "Item"} if prefix else {}),
            "ExpressionAttributeValues": to_item({":study": study} | ({":prefix": prefix} if prefix else {})),
        }
        yield from self._pages(request | ({"Limit": most} if most else {}))

    def _query(self, index: StudyIndexName, value: str, since: str) -> Iterator[Study]:
        return self._studies_in(in_order(self._client, self.table, index, value, since=since))

    def _studies_in(self, found: Iterator[Mapping[str, Any]]) -> Iterator[Study]:
        return (study_in(item) for item in map(from_item, found) if is_study(item))

    def _pages(self, request: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
        start = None
        while True:
            answer = self._client.query(**(request | ({"ExclusiveStartKey": start} if start else {})))
            yield [from_item(item) for item in answer["Items"]]
            start = answer.get("LastEvaluatedKey")
            if start is None:
                return
