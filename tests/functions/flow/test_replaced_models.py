"""Nothing is read with a Model or an artifact that is not the promoted one any more."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import pytest

from functions.domain.batch import BatchStatus
from functions.domain.errors import ArtifactChanged, ModelChanged
from functions.domain.row import Status, timestamp
from tests.fakes.dicom import ct
from tests.fakes.minutes import arrived
from tests.fakes.world import ARTIFACT, MODELS, World


def test_nothing_is_read_with_an_artifact_that_is_not_the_promoted_one_any_more() -> None:
    world = World()
    world.set_champion()
    event = world.upload("a.dcm", ct())
    world.ingesting.take(event)
    world.wait(300)
    (artifact,) = [where for where in world.s3.objects if where[0] == MODELS]
    for changed in (b"another", None):
        if changed is None:
            del world.s3.objects[artifact]
        else:
            world.s3.objects[artifact] = changed
        with pytest.raises(ArtifactChanged, match=r"wetread/1 in s3://models-bucket/artifacts/.* Restore its version"):
            world.dispatching.run()
        assert world.sweeping.run().failures == 1, "the sweep raises its alarm as well"
        assert (world.row(event).status, world.batches.holders()) == (Status.PENDING, {})
    world.s3.objects[artifact] = ARTIFACT
    assert len(world.dispatching.run()) == 1


DIGEST = hashlib.sha256(ARTIFACT).hexdigest()


OTHERS: dict[str, dict[str, Any]] = {
    "another image": {"PrimaryContainer": {"Image": "111111111111.dkr.ecr.eu-west-1.amazonaws.com/other:1"}},
    "another artifact": {"PrimaryContainer": {"ModelDataUrl": f"s3://{MODELS}/artifacts/{'0' * 64}/model.tar.gz"}},
    "the artifact's copy": {"PrimaryContainer": {"ModelDataUrl": f"s3://elsewhere/artifacts/{DIGEST}/model.tar.gz"}},
    "an environment": {"PrimaryContainer": {"Environment": {"LD_PRELOAD": "/opt/ml/model/other.so"}}},
    "another role": {"ExecutionRoleArn": "arn:aws:iam::111111111111:role/other"},
    "no isolation": {"EnableNetworkIsolation": False},
    "a network": {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}},
    "more containers": {"Containers": [{"Image": "a"}, {"Image": "b"}]},
}


def replaced(model: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return a Model with other members, as a caller with permission to delete and create Models may make it."""
    return model | other | {"PrimaryContainer": model["PrimaryContainer"] | other.get("PrimaryContainer", {})}


@pytest.mark.parametrize("other", [*OTHERS.values(), None], ids=[*OTHERS, "gone"])
def test_nothing_is_read_with_a_model_that_is_not_the_promoted_one_any_more(other: dict[str, Any] | None) -> None:
    world, _ = arrived(1)
    ((name, model),) = world.sagemaker.models.items()
    world.sagemaker.models = {name: replaced(model, other)} if other else {}
    with pytest.raises(ModelChanged, match=rf"SageMaker Model {name} of wetread/1 is gone, or not the one"):
        world.dispatching.run()
    assert world.sweeping.run().failures == 1, "the sweep raises its alarm as well"
    assert ({row.status for row in world.rows()}, world.batches.holders()) == ({Status.PENDING}, {})
    world.sagemaker.models = {name: model}
    assert len(world.dispatching.run()) == 1


def test_a_batch_that_waited_for_room_is_not_started_with_another_model() -> None:
    world, _ = arrived(1)
    ((name, model),) = world.sagemaker.models.items()
    world.sagemaker.quota = 0
    assert world.dispatching.run() == []
    (batch_id,) = world.batches.holders().values()
    batch = world.batches.get(batch_id)
    assert batch
    assert batch.status == BatchStatus.READY
    world.sagemaker.quota = 100
    world.sagemaker.models = {name: replaced(model, OTHERS["another image"])}
    assert not world.dispatching.resume(batch)
    assert ({row.status for row in world.rows()}, world.sagemaker.jobs) == ({Status.PENDING}, {})


def test_a_job_that_was_started_with_the_right_model_is_found_when_that_is_gone() -> None:
    world, _ = arrived(1)
    (job,) = world.dispatching.run()
    (batch_id,) = world.batches.holders().values()
    batch = world.batches.get(batch_id)
    assert batch
    world.dynamodb.tables["batches"][f"BATCH#{batch_id}"]["Status"] = {"S": "Ready"}
    world.sagemaker.models = {}
    assert world.dispatching.resume(dataclasses.replace(batch, status=BatchStatus.READY))
    assert list(world.sagemaker.jobs) == [job]


def test_a_champion_with_a_short_model_name_still_reads() -> None:
    world, _ = arrived(1)
    ((name, model),) = world.sagemaker.models.items()
    current = world.champions.get()
    assert current
    old = name[:-20]
    world.sagemaker.models = {old: model | {"ModelName": old}}
    assert world.champions.move(
        dataclasses.replace(current, model_name=old, promoted_at=timestamp(world.time)), current
    )
    assert len(world.dispatching.run()) == 1
