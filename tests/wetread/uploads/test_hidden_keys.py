"""A stage that hides keys answers by key and with keys, to callers with the right to read their table."""

from __future__ import annotations

from typing import Any

import pytest

from functions.aws.keys import Keys
from functions.domain.row import Row
from functions.flow.rescoring import Rescored
from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from tests.fakes.workflow import Workflow
from tests.fakes.world import World, answer
from wetread.uploads.queries import Query, run_query

KEY = "Doe^Jane/1.dcm"


def hiding() -> tuple[World, Keys]:
    """Return a service with older plain keys and newer hidden ones."""
    world = World()
    world.set_champion()
    world.ingesting.take(world.upload(KEY, ct(SOPInstanceUID="1.2.1"), "when keys were plain"))
    keys = Keys(world.clients["dynamodb"], "keys", world.ingesting.patients)
    object.__setattr__(world.ingesting, "keys", keys)
    world.wait(5)
    for number, key in enumerate((KEY, "Roe/2.dcm")):
        world.ingesting.take(world.upload(key, ct(SOPInstanceUID=f"1.3.{number}"), f"v{number}"))
    return world, keys


def keys_of(rows: list[Row]) -> list[str]:
    return [row.key for row in rows]


def test_no_row_has_the_key_that_a_person_chose() -> None:
    world, _ = hiding()
    hidden = [item for item in world.dynamodb.tables["index"].values() if item["VersionId"]["S"].startswith("v")]
    assert len(hidden) == 2
    assert not any("Doe" in repr(item) or "Roe" in repr(item) for item in hidden)


def test_one_asks_by_key_and_gets_rows_of_both_times_with_their_keys() -> None:
    world, keys = hiding()
    found = run_query(world.index, Query(key=KEY), 10, keys)
    assert keys_of(found.rows) == [KEY, KEY]
    assert [row.version_id for row in found.rows] == ["v0", "when keys were plain"], "newest first"
    assert sorted(keys_of(run_query(world.index, Query(status="Pending"), 10, keys).rows)) == [KEY, KEY, "Roe/2.dcm"]
    limited = run_query(world.index, Query(key=KEY), 1, keys)
    assert (len(limited.rows), limited.more) == (1, True)


def test_a_hidden_key_expires_when_its_row_has() -> None:
    world, _ = hiding()
    object.__setattr__(world.ingesting, "kept_days", 30)
    world.ingesting.take(world.upload("late.dcm", ct(SOPInstanceUID="1.5"), "v5"))
    expiring = [item for item in world.dynamodb.tables["keys"].values() if "ExpiresAt" in item]
    assert [item["Key"]["S"] for item in expiring] == ["late.dcm"]
    assert float(expiring[0]["ExpiresAt"]["N"]) == world.time.timestamp() + 120 * 86_400


def test_who_may_not_read_keys_gets_the_rows_without(monkeypatch: pytest.MonkeyPatch) -> None:
    world, keys = hiding()
    get = world.dynamodb.batch_get_item

    def denied(**request: Any) -> Any:
        if "keys" in request["RequestItems"]:
            raise client_error("AccessDeniedException")
        return get(**request)

    monkeypatch.setattr(world.dynamodb, "batch_get_item", denied)
    assert keys_of(run_query(world.index, Query(status="Pending"), 10, keys).rows).count(KEY) == 1


def test_a_key_that_looks_hidden_in_a_plain_row_is_itself() -> None:
    world, keys = hiding()
    object.__setattr__(world.ingesting, "keys", None)
    world.ingesting.take(world.upload("hmac:" + "0" * 32, ct(SOPInstanceUID="1.4"), "v9"))
    rows = run_query(world.index, Query(key="hmac:" + "0" * 32), 10, keys).rows
    assert keys_of(rows) == ["hmac:" + "0" * 32]


def test_an_upload_whose_key_is_hidden_is_read_again_from_its_object() -> None:
    world, keys = hiding()
    world.wait(300)
    (name,) = world.dispatching.run()
    world.sagemaker.end(name, answer)
    world.collecting.collect(name)
    withdrawing = Workflow(world).withdrawing
    object.__setattr__(withdrawing.rescoring, "keys", keys)
    assert [withdrawing.rescore(row) for row in world.rows()] == [Rescored.REQUEUED] * 3
