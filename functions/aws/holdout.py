"""Which patients models were measured on, and by which runs: in the batches table.

Items ``PATIENT#<keyed hash>``: ``Runs`` (a set of run ids); ``Tested`` is there for good once a run had all of the
patient's slices in its test part; ``Fold5`` is the patient's fold (from 1) wherever there are five. An erasure of the
patient deletes the item.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from functions.aws.items import from_item, to_item, unprocessed_keys
from functions.names import PATIENT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MOST_KEYS = 100  # of one BatchGetItem
WORKERS = 32


class Holdout:
    """Reads and writes the record. Patients are keyed hashes."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def tested(self, patients: Iterable[str]) -> frozenset[str]:
        """Return those of the patients who stay in the test part; strongly consistent."""
        return frozenset(patient for patient, item in self._records(patients).items() if item.get("Tested"))

    def recorded(self, patients: Iterable[str]) -> frozenset[str]:
        """Return those of the patients who have a record; strongly consistent."""
        return frozenset(self._records(patients))

    def folds(self, patients: Iterable[str], folds: int) -> dict[str, int]:
        """Return the fold, of so many, of each of the patients who have one; strongly consistent."""
        records = self._records(patients)
        return {patient: int(item[_fold(folds)]) for patient, item in records.items() if _fold(folds) in item}

    def note_folds(self, run: str, fold_of: Mapping[str, int], folds: int) -> int:
        """Record that every patient is about to be tested in a fold; return how many runs have been, as ``note``.

        They are not held out: all of them train the model that is promoted. Repeatable.
        """
        change = f"SET {_fold(folds)} = :fold ADD Runs :run"
        with ThreadPoolExecutor(WORKERS) as pool:
            counts = pool.map(lambda one: self._note(run, one[0], change, {":fold": one[1]}), fold_of.items())
            return max(counts, default=1)

    def note(self, run: str, patients: Collection[str], mixed: Collection[str]) -> int:
        """Record that a run's models are about to be measured on patients; return how many runs have been so far.

        ``mixed`` have slices in other parts, too, and are not held out. Of the patients the one counts that most runs
        were measured on, this one included. Runs that coincide may get the same number, if each comes first on a
        patient and second on another. On any one patient the count of the k-th run is at least k, so the levels of
        the runs on it still add up to no more than the whole. Repeatable.
        """
        with ThreadPoolExecutor(WORKERS) as pool:
            held_out = "SET Tested = :yes ADD Runs :run"
            held = list(pool.map(lambda patient: self._note(run, patient, held_out, {":yes": True}), patients))
            others = list(pool.map(lambda patient: self._note(run, patient, "ADD Runs :run"), mixed))
        return max([*held, *others], default=1)

    def forget(self, patient: str) -> None:
        """Delete the record of a patient."""
        self._client.delete_item(TableName=self._table, Key=_key(patient))

    def _records(self, patients: Iterable[str]) -> dict[str, Any]:
        distinct = sorted(set(patients))
        pieces = [distinct[start : start + MOST_KEYS] for start in range(0, len(distinct), MOST_KEYS)]
        with ThreadPoolExecutor(WORKERS) as pool:
            return {item["Id"].removeprefix(PATIENT): item for few in pool.map(self._piece, pieces) for item in few}

    def _piece(self, patients: list[str]) -> list[Any]:
        keys: Any = [_key(patient) for patient in patients]
        found: list[Any] = []
        while keys:
            answer = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
            found += map(from_item, answer["Responses"].get(self._table, []))
            keys = unprocessed_keys(answer, self._table)
        return found

    def _note(self, run: str, patient: str, change: str, more: Mapping[str, Any] | None = None) -> int:
        values: dict[str, Any] = {":run": {run}, **(more or {})}
        answer = self._client.update_item(
            TableName=self._table,
            Key=_key(patient),
            UpdateExpression=change,
            ExpressionAttributeValues=to_item(values),
            ReturnValues="ALL_NEW",
        )
        return len(from_item(answer["Attributes"])["Runs"])


def _fold(folds: int) -> str:
    return f"Fold{folds}"


def _key(patient: str) -> Any:
    return to_item({"Id": f"{PATIENT}{patient}"})
