"""Versions of the model, and which one reads."""

import dataclasses
import json

import pytest

from functions.aws.registry import ModelVersion, PromotionRefused
from functions.domain.artifact import InvalidArtifact


@pytest.fixture
def registry(connection):
    def version(number: int) -> ModelVersion:
        return ModelVersion(
            model_package=f"wetread/{number}",
            arn=f"arn:aws:sagemaker:us-east-1:000000000000:model-package/wetread/{number}",
            approval="Approved",
            created_at="2026-11-20T08:00:00.000Z",
            name="densenet121",
            version=f"0.{number}.0",
            artifact_sha256=f"{number}abcdef0123456789",
        )

    connection.registry.versions = lambda: [version(4), version(3)]
    connection.registry.register = lambda path: version(int(path.read_text()))
    return connection.registry


def test_list_marks_the_champion(wetread, registry) -> None:
    lines = wetread("model", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines if "wetread/3" in line] == ["champion"]
    assert [line.split()[0] for line in lines if "wetread/4" in line] == ["wetread/4"]
    documents = json.loads(wetread("model", "list", "--json").stdout)
    assert [(one["ModelPackage"], one["Champion"]) for one in documents] == [("wetread/4", False), ("wetread/3", True)]


def test_an_empty_registry(wetread) -> None:
    result = wetread("model", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "wetread model register" in result.stderr


def test_register_prints_the_version_alone(wetread, registry, tmp_path) -> None:
    (tmp_path / "model.tar.gz").write_text("4")
    assert wetread("model", "register", tmp_path / "model.tar.gz").stdout == "wetread/4\n"


def test_register_tells_why_a_file_is_no_artifact(wetread, registry, tmp_path) -> None:
    def refuse(path):
        raise InvalidArtifact(f"{path.name} lacks model.pth: it is not a model artifact.")

    registry.register = refuse
    (tmp_path / "notes.txt").touch()
    result = wetread("model", "register", tmp_path / "notes.txt")
    assert result.exit_code == 1
    assert "lacks model.pth" in result.stderr


def test_promote_prints_the_champion_and_how_to_look_back(wetread, registry) -> None:
    asked = []
    champion = dataclasses.replace(registry.champion(), model_package="wetread/4", previous="wetread/3")
    registry.promote = lambda version: asked.append(version) or champion
    result = wetread("model", "promote", "4")
    assert asked == ["4"]
    assert result.stdout == "wetread/4\n"
    assert "wetread results --model wetread/3" in result.stderr


def test_a_refused_promotion_fails(wetread, registry) -> None:
    def refuse(version):
        raise PromotionRefused(f"There is no version {version!r} in wetread.")

    registry.promote = refuse
    result = wetread("model", "promote", "9")
    assert result.exit_code == 1
    assert "no version '9'" in result.stderr
