"""Artifacts become versions, a version becomes champion, and what changed meanwhile is refused."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aggregation.rule import Rule, loads
from functions.aws.artifacts import Artifacts
from functions.aws.models import Models
from functions.aws.registry import Registry
from functions.domain.against import Standing
from functions.domain.artifact import read_artifact
from functions.domain.errors import InvalidArtifact, PromotionRefused
from functions.domain.placement import Placement
from tests.fakes.wire import Wire
from tests.fakes.workflow import CALLER
from tests.fakes.world import World

METADATA = {
    "name": "ct-slices",
    "version": "0.1.0",
    "network_data_format": {"outputs": {"pred": {"channel_def": {"0": "normal", "1": "cap", "2": "covid"}}}},
}


def artifact(path: Path, metadata: Any = METADATA, **files: bytes) -> Path:
    contents = {"model.pth": b"weights", "code/inference.py": b"", "metadata.json": json.dumps(metadata).encode()}
    with tarfile.open(path, "w:gz") as archive:
        for name, body in (contents | files).items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return path


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def registry(world: World) -> Registry:
    s3: Any = Wire("s3", world.s3)
    sagemaker: Any = Wire("sagemaker", world.sagemaker)
    return Registry(
        s3=s3,
        sagemaker=sagemaker,
        champions=world.champions,
        ticks=world.ticks,
        models_bucket="models-bucket",
        group="wetread",
        image_uri="111111111111.dkr.ecr.eu-west-1.amazonaws.com/wetread:1",
        job_role_arn="arn:aws:iam::111111111111:role/job",
        placement=Placement(),
        clock=lambda: datetime(2026, 11, 23, tzinfo=UTC),
        caller=lambda: CALLER,
    )


def test_a_version_is_registered_once_and_promoted(registry: Registry, world: World, tmp_path: Path) -> None:
    path = artifact(tmp_path / "model.tar.gz")
    version = registry.register(path)
    assert registry.register(path) == version
    assert (version.model_package, version.approval) == ("wetread/1", "PendingManualApproval")
    champion = registry.promote("1")
    assert registry.champion() == champion
    assert champion.model_name in world.sagemaker.models
    assert world.sagemaker.models[champion.model_name]["EnableNetworkIsolation"]
    assert registry.versions()[0].approval == "Approved"
    assert len(world.queue.sent) == 1  # uploads that waited for a model start


def test_a_version_of_a_model_that_has_seen_phantoms_only_says_so(registry: Registry, tmp_path: Path) -> None:
    assert registry.register(artifact(tmp_path / "phantoms.tar.gz", METADATA | {"synthetic": True})).synthetic
    assert [one.synthetic for one in registry.versions()] == [True]
    assert not registry.register(artifact(tmp_path / "model.tar.gz")).synthetic


def test_a_second_champion_names_the_first(registry: Registry, tmp_path: Path) -> None:
    registry.register(artifact(tmp_path / "one.tar.gz"))
    registry.register(artifact(tmp_path / "two.tar.gz", METADATA | {"version": "0.2.0"}))
    registry.promote("wetread/1")
    assert registry.promote("wetread/2").previous == "wetread/1"
    assert registry.promote("wetread/1").previous == "wetread/2"
    assert registry.promote("wetread/1").previous == "wetread/2"


def test_another_image_makes_another_model(registry: Registry, world: World, tmp_path: Path) -> None:
    registry.register(artifact(tmp_path / "model.tar.gz"))
    before = registry.promote("1").model_name
    assert registry.promote("1").model_name == before
    after = (
        replace(registry, image_uri="111111111111.dkr.ecr.eu-west-1.amazonaws.com/wetread:2").promote("1").model_name
    )
    assert after != before
    assert world.sagemaker.models[after]["PrimaryContainer"]["Image"].endswith(":2")


PLACED = Placement(
    subnet_ids=("subnet-0a1b2c3d", "subnet-1a1b2c3d"),
    security_group_ids=("sg-0a1b2c3d",),
    resource_tags=("CostCentre=4711", "Owner=a = b"),
)


def test_another_network_makes_another_model_which_dispatch_takes(
    registry: Registry, world: World, tmp_path: Path
) -> None:
    registry.register(artifact(tmp_path / "model.tar.gz"))
    before = registry.promote("1").model_name
    placed = replace(registry, placement=PLACED)
    after = placed.promote("1").model_name
    made = world.sagemaker.models[after]
    assert after != before
    assert made["VpcConfig"] == {"Subnets": list(PLACED.subnet_ids), "SecurityGroupIds": ["sg-0a1b2c3d"]}
    assert made["EnableNetworkIsolation"] is True
    assert made.pop("Tags") == [{"Key": "CostCentre", "Value": "4711"}, {"Key": "Owner", "Value": "a = b"}]
    made["VpcConfig"]["Subnets"].reverse()  # SageMaker promises no order
    assert placed.promote("1").model_name == after
    checked = Models(registry.sagemaker, Artifacts(registry.s3, registry.models_bucket))
    assert checked.is_itself(before)
    assert checked.is_itself(after)
    made["VpcConfig"]["Subnets"] = ["subnet-9a1b2c3d"]
    assert not checked.is_itself(after)


def test_an_unknown_version_is_refused(registry: Registry) -> None:
    with pytest.raises(PromotionRefused, match="no version '7'"):
        registry.promote("7")


def test_an_artifact_that_changed_in_the_bucket_is_refused(registry: Registry, world: World, tmp_path: Path) -> None:
    registry.register(artifact(tmp_path / "model.tar.gz"))
    (where,) = world.s3.objects
    world.s3.objects[where] = b"other bytes"
    with pytest.raises(PromotionRefused, match="not the one that was registered"):
        registry.promote("1")
    assert registry.champion() is None


def test_an_artifact_that_changed_later_is_never_served_again(registry: Registry, world: World, tmp_path: Path) -> None:
    """An endpoint, a rollback and an approval need the artifact's URI and a candidate."""
    version = registry.register(artifact(tmp_path / "model.tar.gz"))
    champion = registry.promote("1")
    (where,) = world.s3.objects
    world.s3.objects[where] = world.s3.objects[where] + b"\0"
    with pytest.raises(PromotionRefused, match="not the one that was registered"):
        registry.artifact_uri(version)
    with pytest.raises(PromotionRefused, match="not the one that was registered"):
        registry.candidate(version, "", Standing())
    assert registry.champion() == champion


def test_a_version_is_found_without_describing_all(registry: Registry, tmp_path: Path) -> None:
    for number in range(5):
        registry.register(artifact(tmp_path / f"{number}.tar.gz", METADATA | {"version": str(number)}))
    described: list[str] = []
    wire: Any = registry.sagemaker
    wire.interfere = lambda operation, when: described.append(f"{operation} {when}")
    assert registry.version("wetread/3").version == "2"
    assert described.count("describe_model_package before") == 1
    assert [version.version for version in registry.versions()] == ["4", "3", "2", "1", "0"]


def test_a_version_of_another_group_is_unknown(registry: Registry, tmp_path: Path) -> None:
    registry.register(artifact(tmp_path / "model.tar.gz"))
    with pytest.raises(PromotionRefused, match="no version 'another/1'"):
        registry.version("another/1")


def test_a_person_may_promote_a_rejected_version(registry: Registry, tmp_path: Path) -> None:
    version = registry.register(artifact(tmp_path / "model.tar.gz"))
    registry.reject(version.arn, "no")
    assert registry.promote("1").model_package == "wetread/1"
    assert registry.versions()[0].approval == "Approved"


def test_of_two_promotions_at_once_one_is_refused(
    registry: Registry, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.register(artifact(tmp_path / "model.tar.gz"))
    monkeypatch.setattr(registry.champions, "get", lambda: None)
    registry.promote("1")
    with pytest.raises(PromotionRefused, match="came between"):
        registry.promote("1")


def test_a_file_that_is_not_an_artifact_is_refused_by_name(tmp_path: Path) -> None:
    text = tmp_path / "model.tar.gz"
    text.write_text("not a tar")
    with pytest.raises(InvalidArtifact, match="cannot be read"):
        read_artifact(text)
    empty = tmp_path / "empty.tar.gz"
    with tarfile.open(empty, "w:gz"):
        pass
    with pytest.raises(InvalidArtifact, match=r"lacks model\.pth, metadata\.json"):
        read_artifact(empty)
    with pytest.raises(InvalidArtifact, match="no usable 'network_data_format'"):
        read_artifact(artifact(tmp_path / "bare.tar.gz", {"name": "n", "version": "1"}))
    with pytest.raises(InvalidArtifact):
        read_artifact(artifact(tmp_path / "list.tar.gz", [1]))
    with pytest.raises(InvalidArtifact):
        read_artifact(tmp_path / "absent.tar.gz")


def test_the_champion_records_who_promoted_it_and_the_weights_that_answers_must_have(
    registry: Registry, tmp_path: Path
) -> None:
    registry.register(artifact(tmp_path / "model.tar.gz"))
    champion = registry.promote("1")
    assert champion.promoted_by == CALLER
    assert champion.weights_sha256 == hashlib.sha256(b"weights").hexdigest()
    assert registry.champion() == champion


OTHERS: dict[str, dict[str, Any]] = {
    "image": {"PrimaryContainer": {"Image": "another:1"}},
    "artifact": {"PrimaryContainer": {"ModelDataUrl": "s3://models-bucket/artifacts/another/model.tar.gz"}},
    "uncompressed artifact": {
        "PrimaryContainer": {
            "ModelDataSource": {
                "S3DataSource": {
                    "S3Uri": "s3://another/model/",
                    "S3DataType": "S3Prefix",
                    "CompressionType": "None",
                }
            }
        }
    },
    "environment": {"PrimaryContainer": {"Environment": {"SAGEMAKER_PROGRAM": "other.py"}}},
    "many models": {"PrimaryContainer": {"Mode": "MultiModel"}},
    "private registry": {"PrimaryContainer": {"ImageConfig": {"RepositoryAccessMode": "Vpc"}}},
    "further data": {"PrimaryContainer": {"AdditionalModelDataSources": [{"ChannelName": "more"}]}},
    "model package": {"PrimaryContainer": {"ModelPackageName": "arn:aws:sagemaker:eu-west-1:1:model-package/w/2"}},
    "several containers": {"Containers": [{"Image": "another:1"}]},
    "role": {"ExecutionRoleArn": "arn:aws:iam::111111111111:role/other"},
    "no isolation": {"EnableNetworkIsolation": False},
    "a network": {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}},
    "what is not known yet": {"PrimaryContainer": {"NewMember": "x"}},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_model_under_the_same_name_is_refused(
    other: dict[str, Any], registry: Registry, world: World, tmp_path: Path
) -> None:
    registry.register(artifact(tmp_path / "model.tar.gz"))
    name = registry.promote("1").model_name
    found = world.sagemaker.models[name]
    world.sagemaker.models[name] = found | other
    if "PrimaryContainer" in other:
        world.sagemaker.models[name]["PrimaryContainer"] = found["PrimaryContainer"] | other["PrimaryContainer"]
    before = registry.champion()
    with pytest.raises(PromotionRefused, match=f"SageMaker Model {name} that is not the one asked for"):
        registry.promote("1")
    assert registry.champion() == before


def test_a_model_is_the_same_whatever_sagemaker_adds_to_its_description(
    registry: Registry, world: World, tmp_path: Path
) -> None:
    registry.register(artifact(tmp_path / "model.tar.gz"))
    name = registry.promote("1").model_name
    container = world.sagemaker.models[name]["PrimaryContainer"]
    source = {"S3Uri": container["ModelDataUrl"], "S3DataType": "S3Object", "CompressionType": "Gzip"}
    container |= {"Mode": "SingleModel", "Environment": {}, "ModelDataSource": {"S3DataSource": source}}
    assert registry.promote("1").model_name == name


def test_an_artifact_is_written_once_and_kept(registry: Registry, world: World, tmp_path: Path) -> None:
    """The bucket's policy refuses a put without the condition: see tests/infra/test_storage.py."""
    found = read_artifact(artifact(tmp_path / "model.tar.gz"))
    asked: list[dict[str, Any]] = []
    put = world.s3.put_object
    world.s3.put_object = lambda **request: asked.append(request) or put(**request)  # type: ignore[method-assign]
    assert registry.store(found) == registry.store(found)
    assert [request["IfNoneMatch"] for request in asked] == ["*", "*"]


def test_other_bytes_under_an_artifacts_digest_are_refused(registry: Registry, world: World, tmp_path: Path) -> None:
    found = read_artifact(artifact(tmp_path / "model.tar.gz"))
    registry.store(found)
    (where,) = world.s3.objects
    world.s3.objects[where] = b"other bytes"
    with pytest.raises(PromotionRefused, match="holds other bytes"):
        registry.store(found)


def test_the_checksum_of_a_multipart_object_is_not_its_digest(registry: Registry, world: World, tmp_path: Path) -> None:
    version = registry.register(artifact(tmp_path / "model.tar.gz"))
    world.s3.head_object = lambda **_: {"ChecksumSHA256": "abc=-2"}  # type: ignore[method-assign]
    with pytest.raises(PromotionRefused, match="not the one that was registered"):
        registry.artifact_uri(version)


def test_a_description_fits_sagemakers_pattern_and_length(registry: Registry, world: World, tmp_path: Path) -> None:
    labels = {str(number): f"class\u200c{number:050}" for number in range(40)}
    metadata = METADATA | {"network_data_format": {"outputs": {"pred": {"channel_def": labels}}}}
    registry.register(artifact(tmp_path / "model.tar.gz", metadata))
    (package,) = world.sagemaker.packages
    assert len(package["ModelPackageDescription"]) == 1024
    assert "\u200c" not in package["ModelPackageDescription"]


def test_a_reason_of_two_lines_fits_sagemakers_pattern(registry: Registry, world: World, tmp_path: Path) -> None:
    version = registry.register(artifact(tmp_path / "model.tar.gz"))
    registry.reject(version.arn, "too many\nfalse alarms")
    assert world.sagemaker.packages[0]["ApprovalDescription"] == "too many false alarms"


STUDY = {"version": 1, "rule": "top_mean", "reference": "normal", "k": 5, "thresholds": {"cap": 0.25}}


def test_how_a_version_reads_studies_comes_with_its_promotion(registry: Registry, tmp_path: Path) -> None:
    version = registry.register(artifact(tmp_path / "model.tar.gz", METADATA | {"study": STUDY}))
    registry.promote("1")
    promotion = registry.champions.promotion(version.model_package)
    assert promotion is not None
    assert loads(promotion.study) == Rule(reference="normal", k=5, thresholds={"cap": 0.25})


def test_a_version_from_before_has_no_rule(registry: Registry, world: World, tmp_path: Path) -> None:
    registry.register(artifact(tmp_path / "model.tar.gz"))
    registry.promote("1")
    promotion = registry.champions.promotion("wetread/1")
    assert promotion is not None
    assert promotion.study == ""
    assert [key for _, key in world.s3.objects if key.endswith("study.json")] == []


@pytest.mark.parametrize("body", [b"", b"{}", None])
def test_a_version_whose_rule_was_replaced_is_not_promoted(
    registry: Registry, world: World, tmp_path: Path, body: bytes | None
) -> None:
    registry.register(artifact(tmp_path / "model.tar.gz", METADATA | {"study": STUDY}))
    (where,) = (where for where in world.s3.objects if where[1].endswith("study.json"))
    if body is None:
        del world.s3.objects[where]
    else:
        world.s3.objects[where] = body
    with pytest.raises(PromotionRefused, match="rule by which wetread/1 reads studies"):
        registry.promote("1")


def test_registering_again_keeps_the_rule_that_is_there(registry: Registry, world: World, tmp_path: Path) -> None:
    found = read_artifact(artifact(tmp_path / "model.tar.gz", METADATA | {"study": STUDY}))
    registry.store(found)
    before = dict(world.s3.objects)
    registry.store(found)
    assert world.s3.objects == before
