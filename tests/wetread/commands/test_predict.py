"""The model on this machine: answers for people and for programs."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from functions.domain.layout import artifact_key
from localcloud.containers.container import ContainerError
from wetread.commands import predict

OK = {
    "Schema": "prediction/2",
    "Class": "cap",
    "Probabilities": {"normal": 0.05, "cap": 0.9, "covid": 0.05},
}
BAD = {"Schema": "prediction/1", "Error": {"Code": "UndecodablePixelData", "Message": "The frame is damaged."}}


@pytest.fixture
def container(monkeypatch):
    """A container that answers by the first byte of the object."""

    class Scripted:
        def __init__(self, _project, model) -> None:
            self.model = model
            served.append(model)

        def __enter__(self):
            if self.model.name == "broken":
                raise ContainerError("The container ended.")
            return self

        def __exit__(self, *_) -> None:
            pass

        def invoke(self, body: bytes) -> bytes:
            return json.dumps(OK if body.startswith(b"g") else BAD).encode()

    served: list = []
    monkeypatch.setattr(predict, "Container", Scripted)
    return served


@pytest.fixture
def files(tmp_path):
    for name in ("good.dcm", "bad.dcm"):
        (tmp_path / name).write_text(name)
    return tmp_path / "good.dcm", tmp_path / "bad.dcm"


def test_shows_class_and_probability(wetread, container, files, tmp_path) -> None:
    result = wetread("predict", files[0], "--model", tmp_path)
    assert result.exit_code == 0
    assert "cap" in result.stdout
    assert "90.0 %" in result.stdout
    assert "normal 5.0 %, covid 5.0 %" in result.stdout
    assert result.stderr.splitlines()[0].startswith("no cloud")


def test_the_notes_of_an_answer_are_shown_with_their_file(wetread, container, files, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(OK, "Notes", ["The slice was turned."])
    result = wetread("predict", files[0], "--model", tmp_path)
    assert f"{files[0]}: The slice was turned." in result.stderr
    assert "turned" not in result.stdout


def test_an_unreadable_file_is_shown_and_fails(wetread, container, files, tmp_path) -> None:
    result = wetread("predict", *files, "--model", tmp_path, "--json")
    assert result.exit_code == 1
    documents = json.loads(result.stdout)
    assert documents == [{"File": str(files[0]), **OK}, {"File": str(files[1]), **BAD}]
    assert "1 of 2 files" in result.stderr


ARTIFACT = b"the champion's model.tar.gz"


@pytest.fixture
def champions(connection, monkeypatch):
    """The champion's artifact, fetched from the models bucket with a test's bytes."""
    digest = hashlib.sha256(ARTIFACT).hexdigest()
    there = {("models", artifact_key(digest)): ARTIFACT}
    champion = dataclasses.replace(connection.registry.champion(), artifact_sha256=digest)
    connection.registry.champion = lambda: champion
    connection.s3.download_file = lambda bucket, key, path: Path(path).write_bytes(there[bucket, key])
    return there


def test_without_a_file_the_champion_runs(wetread, container, champions, files) -> None:
    assert wetread("predict", files[0]).exit_code == 0
    assert [path.name for path in container] == ["model.tar.gz"]


def test_a_champion_whose_artifact_was_replaced_is_not_even_opened(wetread, container, champions, files) -> None:
    (where,) = champions
    champions[where] = ARTIFACT + b"\0"
    result = wetread("predict", files[0])
    assert result.exit_code == 1
    assert container == []
    assert "it was replaced, and nothing of it was run" in result.stderr
    assert hashlib.sha256(ARTIFACT + b"\0").hexdigest() in result.stderr


def test_a_file_of_ones_own_has_no_digest_to_compare(wetread, container, files, tmp_path) -> None:
    assert "knows no digest to compare it with" in wetread("predict", files[0], "--model", tmp_path).stderr


def test_without_a_champion_it_cannot_start(wetread, container, connection, files) -> None:
    connection.registry.champion = lambda: None
    result = wetread("predict", files[0])
    assert result.exit_code == 2
    assert "--model" in result.stderr


def test_a_container_that_fails_is_reported(wetread, container, files, tmp_path) -> None:
    (tmp_path / "broken").mkdir()
    result = wetread("predict", files[0], "--model", tmp_path / "broken")
    assert result.exit_code == 1
    assert "The container ended." in result.stderr
