"""The model on this machine: answers for people and for programs."""

import json

import pytest

from functions.domain.layout import artifact_key
from wetread.commands import predict
from wetread.local.container import ContainerError

OK = {
    "Schema": "prediction/1",
    "Class": "cap",
    "Probabilities": {"normal": 0.05, "cap": 0.9, "covid": 0.05},
}
BAD = {"Schema": "prediction/1", "Error": {"Code": "UndecodablePixelData", "Message": "The frame is damaged."}}


@pytest.fixture
def container(monkeypatch):
    """A container that answers by the first byte of the object."""

    class Scripted:
        def __init__(self, model) -> None:
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


def test_an_unreadable_file_is_shown_and_fails(wetread, container, files, tmp_path) -> None:
    result = wetread("predict", *files, "--model", tmp_path, "--json")
    assert result.exit_code == 1
    documents = json.loads(result.stdout)
    assert documents == [{"File": str(files[0]), **OK}, {"File": str(files[1]), **BAD}]
    assert "1 of 2 files" in result.stderr


def test_without_a_file_the_champion_runs(wetread, container, connection, files) -> None:
    fetched = []
    connection.s3.download_file = lambda *request: fetched.append(request)
    assert wetread("predict", files[0]).exit_code == 0
    bucket, key, path = fetched[0]
    assert (bucket, key) == ("models", artifact_key("c0ffee" * 10))
    assert str(container[0]) == path


def test_without_a_champion_it_cannot_start(wetread, container, connection, files) -> None:
    connection.registry.champion = lambda: None
    result = wetread("predict", files[0])
    assert result.exit_code == 2
    assert "--model" in result.stderr


def test_a_container_that_fails_is_told(wetread, container, files, tmp_path) -> None:
    (tmp_path / "broken").mkdir()
    result = wetread("predict", files[0], "--model", tmp_path / "broken")
    assert result.exit_code == 1
    assert "The container ended." in result.stderr
