"""What became of each revision's DICOM results, as the table keeps it."""

from __future__ import annotations

from typing import Any

import pytest

from functions.aws.deliveries import Deliveries, Delivery
from functions.aws.studies import LONGEST_WAIT_DAYS
from functions.domain.row import expiry
from tests.fakes.dicom import STUDY
from tests.fakes.world import World


@pytest.fixture
def world() -> World:
    return World()


def deliveries(world: World, **settings: Any) -> Deliveries:
    return Deliveries(world.clients["dynamodb"], "studies", **settings)


def item(world: World) -> dict[str, Any]:
    return world.dynamodb.tables["studies"][f"{STUDY}|delivery#000001"]


def test_what_is_kept_is_what_is_found(world: World) -> None:
    kept = Delivery(
        revision=1,
        keys={"rejection": "dicom/1"},
        code="NoScores",
        reason="There are none.",
        notes=["StudyTime"],
        undrawn={"heat-1": "NoGrid"},
        rejects=[1, 2],
        not_rejected="HeaderGone",
    )
    deliveries(world).keep(STUDY, kept, world.time)
    assert deliveries(world).of_study(STUDY) == [kept]


def test_what_is_empty_is_not_kept(world: World) -> None:
    deliveries(world).keep(STUDY, Delivery(revision=1, keys={}), world.time)
    assert item(world).keys() == {"StudyInstanceUID", "Item", "Revision", "DeliveredAt"}


def test_the_deliveries_of_a_study_are_found_page_by_page_and_in_order(world: World) -> None:
    for revision in (3, 1, 2):
        deliveries(world).keep(STUDY, Delivery(revision=revision, keys={}), world.time)
    query = world.dynamodb.query
    world.dynamodb.query = lambda **request: query(**request, Limit=1)  # type: ignore[method-assign]
    assert [one.revision for one in deliveries(world).of_study(STUDY)] == [1, 2, 3]


def test_a_delivery_expires_with_the_items_of_its_study(world: World) -> None:
    deliveries(world, kept_days=30).keep(STUDY, Delivery(revision=1, keys={}), world.time)
    assert item(world)["ExpiresAt"] == {"N": str(expiry(world.time, 30 + LONGEST_WAIT_DAYS))}


def test_an_erased_one_is_gone(world: World) -> None:
    deliveries(world).keep(STUDY, Delivery(revision=1, keys={}), world.time)
    deliveries(world).forget(STUDY, 1)
    assert deliveries(world).of_study(STUDY) == []
