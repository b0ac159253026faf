"""What is written has a shard, what is asked for has every shard in order, and older rows without one are found."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.aws import shards
from functions.aws.index import Index, item_of
from functions.aws.items import to_item
from functions.aws.shards import partitions, plain, sharded
from functions.aws.studies import Studies
from functions.domain.row import Row, Status, timestamp
from functions.names import IndexName
from tests.fakes.dynamodb import FakeDynamoDB
from tests.fakes.world import in_memory
from wetread.uploads.queries import Query, run_query

START = datetime(2026, 11, 23, tzinfo=UTC)
MANY = 200


def row(number: int, **changes: object) -> Row:
    at = timestamp(START + timedelta(seconds=number))
    values: dict[str, object] = {
        "upload_id": f"{number:032x}",
        "key": f"{number}.dcm",
        "received_at": at,
        "updated_at": at,
        "completed_at": at,
        "status": Status.COMPLETED,
        "study_instance_uid": "1.2",
        "predicted_class": "normal",
        "model_package": "wetread/1",
        "transform_job_name": "wetread-1",
    }
    return Row(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def tables() -> FakeDynamoDB:
    return in_memory(lambda: False)


@pytest.fixture
def index(tables) -> Index:
    return Index(tables, "index")


@pytest.fixture
def mixed(tables, index) -> list[Row]:
    """Rows of which every third is from before there were shards, the oldest first."""
    rows = [row(number) for number in range(MANY)]
    for one in rows[::3]:
        tables.put_item(TableName="index", Item=to_item(one.to_json()))
    for one in rows:
        assert index.put_new(one) is (one not in rows[::3])
    return rows


def test_uploads_are_spread_over_all_shards(tables, mixed) -> None:
    for attribute, value in (
        ("Status", "Completed"),
        ("PredictedClass", "normal"),
        ("ModelPackage", "wetread/1"),
        ("TransformJobName", "wetread-1"),
    ):
        written = {item[attribute]["S"] for item in tables.tables["index"].values()}
        assert written == set(partitions(attribute, value))
        assert len(written) == 1 + shards.SHARDS


@pytest.mark.parametrize("page", [1, 7, 1000])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        (IndexName.BY_STATUS, "Completed"),
        (IndexName.BY_CLASS, "normal"),
        (IndexName.BY_MODEL, "wetread/1"),
        (IndexName.BY_JOB, "wetread-1"),
        (IndexName.BY_STUDY, "1.2"),
    ],
)
def test_rows_with_and_without_a_shard_come_in_order(index, mixed, name, value, page) -> None:
    assert list(index.find(name, value, page=page)) == mixed[::-1]
    assert list(index.find(name, value, newest_first=False, page=page)) == mixed
    since = mixed[150].received_at
    assert list(index.find(name, value, since=since, page=page)) == mixed[:149:-1]
    assert index.oldest(name, value, 5) == mixed[:5]


def test_no_more_is_read_than_is_asked_for(tables, index, mixed) -> None:
    read = []
    query = tables.query
    tables.query = lambda **request: read.append(answer := query(**request)) or answer
    assert list(itertools.islice(index.find(IndexName.BY_STATUS, "Completed", page=20), 20)) == mixed[:-21:-1]
    assert sum(len(answer["Items"]) for answer in read) < 4 * 20
    assert len(read) < 2 * (1 + shards.SHARDS)


def test_peoples_questions_have_the_answers_of_before(index, mixed) -> None:
    for query in (Query(), Query(status="Completed"), Query(predicted_class="normal"), Query(model="wetread/1")):
        answer = run_query(index, query, 7)
        assert (answer.rows, answer.more) == (mixed[:-8:-1], True)


def test_rows_are_counted_in_all_shards(index, mixed) -> None:
    assert index.count(IndexName.BY_STATUS, "Completed") == MANY
    assert index.count(IndexName.BY_STATUS, "Completed", at_most=MANY) == MANY
    assert index.count(IndexName.BY_STATUS, "Pending") == 0


@pytest.mark.parametrize("old", [True, False])
def test_a_row_of_either_kind_goes_its_way(tables, index, old) -> None:
    """It is marked as its version's, not as that of one whose number begins alike, and is read again."""
    one = row(1, model_package="wetread/1")
    tables.put_item(TableName="index", Item=to_item(one.to_json()) if old else item_of(one))
    assert index.get(one.upload_id) == one
    assert not index.mark_withdrawn(one.upload_id, "wetread/10", "2026-11-24")
    assert not index.mark_withdrawn(one.upload_id, "wetread", "2026-11-24")
    assert index.mark_withdrawn(one.upload_id, "wetread/1", "2026-11-24")
    assert index.rescore(one, "2026-11-25T00:00:00.000Z")
    again = index.get(one.upload_id)
    assert again is not None
    assert (again.status, again.model_package) == (Status.PENDING, None)
    assert tables.tables["index"][one.upload_id]["Status"] == {"S": sharded("Pending", one.upload_id)}
    assert index.begin_erasure(again, "2026-11-26T00:00:00.000Z")
    assert index.bury(one.upload_id, START)


@pytest.mark.parametrize("text", ["normal", "lesion#3", "a 7", "7", ""])
def test_a_value_is_what_it_was_whatever_it_has(text) -> None:
    assert plain(text) == text
    assert len(sharded(text, "some upload").encode()) == len(text.encode()) + 2, "a longer row may cost twice as much"
    assert plain(sharded(text, "some upload")) == text


def test_open_studies_of_both_kinds_are_seen_by_when_they_are_due(tables) -> None:
    studies = Studies(tables, "studies")
    for number in range(50):
        studies.arrived(f"1.2.{number}", START + timedelta(seconds=number), 300)
    for name, item in list(tables.tables["studies"].items())[::4]:
        tables.tables["studies"][name] = item | {"State": {"S": "Open"}, "Open": {"S": "open"}}
    found = list(studies.open())
    assert [one.study_instance_uid for one in found] == [f"1.2.{number}" for number in range(50)]
    assert studies.begin(found[0], START)  # the old kind
    assert studies.begin(found[1], START)
    assert all(studies.close(replace(one, touches=1), None, START) for one in found[:2])
    assert len(list(studies.open())) == 48
