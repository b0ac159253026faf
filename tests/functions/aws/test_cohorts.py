"""Cohorts are read by version; a copy is made once."""

from __future__ import annotations

import hashlib

import pytest

from functions.aws.cohorts import Cohorts
from functions.domain.cohort import ObjectVersion
from functions.domain.errors import Refusal, RefusalCode
from tests.fakes.world import World

BUCKET = "training-bucket"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def cohorts(world: World) -> Cohorts:
    return Cohorts(world.clients["s3"], BUCKET)


def test_a_manifest_comes_with_its_version(world: World, cohorts: Cohorts) -> None:
    world.s3.add_version(BUCKET, "cohorts/c/m.json", "v1", b"[1]")
    world.s3.add_version(BUCKET, "cohorts/c/m.json", "v2", b"[2]")
    found = cohorts.manifest("cohorts/c/m.json")
    assert found
    assert (found.body, found.version_id, found.sha256) == (b"[2]", "v2", hashlib.sha256(b"[2]").hexdigest())
    assert cohorts.manifest("cohorts/c/absent.json") is None


def test_the_newest_versions_are_listed_and_nothing_of_another_folder(world: World, cohorts: Cohorts) -> None:
    world.s3.add_version(BUCKET, "cohorts/c/a.dcm", "v1", b"old")
    world.s3.add_version(BUCKET, "cohorts/c/a.dcm", "v2", b"newer")
    world.s3.add_version(BUCKET, "cohorts/c2/b.dcm", "v1", b"other")
    assert list(cohorts.objects("cohorts/c/")) == [ObjectVersion(key="cohorts/c/a.dcm", version_id="v2", size=5)]


def test_a_copy_is_made_once_of_the_very_version(world: World, cohorts: Cohorts) -> None:
    world.s3.add_version(BUCKET, "cohorts/c/a.dcm", "v1", b"old")
    world.s3.add_version(BUCKET, "cohorts/c/a.dcm", "v2", b"new")
    version = "cohorts/c/a.dcm", "v1"
    for _ in range(2):
        assert cohorts.pin(*version, "n.dcm") == hashlib.sha256(b"old").hexdigest()
    assert world.s3.copies == 1
    assert world.s3.objects[BUCKET, "slices/n.dcm"] == b"old"


def test_a_version_that_is_gone_is_a_refusal(cohorts: Cohorts) -> None:
    version = "cohorts/c/a.dcm", "v1"
    for attempt in (lambda: cohorts.pin(*version, "n.dcm"), lambda: cohorts.head(*version, 10)):
        with pytest.raises(Refusal) as caught:
            attempt()
        assert caught.value.code is RefusalCode.OBJECT_GONE
