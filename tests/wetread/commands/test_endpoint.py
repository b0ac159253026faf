"""Up with a version, the champion or an artifact; requests and answers; down."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from functions.domain.artifact import Artifact
from functions.domain.champion import Withdrawal
from functions.domain.errors import InvalidArtifact, PromotionRefused
from wetread.commands import endpoint as command
from wetread.models import endpoint as endpoints
from wetread.models.endpoint import Hosting, Served


@pytest.fixture
def made(connection, monkeypatch) -> list[tuple[Served, Hosting]]:
    """What endpoints are made of; a registry that knows wetread/3, the champion, and wetread/2."""
    made: list[tuple[Served, Hosting]] = []

    def create(_connection, served: Served, hosting: Hosting) -> None:
        made.append((served, hosting))
        statuses = connection.hosting.statuses
        connection.hosting.exists(model=served.called)
        connection.hosting.statuses = statuses

    def version(wanted: str) -> SimpleNamespace:
        if wanted not in {"wetread/3", "wetread/2"}:
            raise PromotionRefused(f"There is no version {wanted!r}")
        return SimpleNamespace(model_package=wanted)

    connection.registry.version = version
    connection.registry.artifact_uri = lambda found: f"s3://models/{found.model_package}"
    connection.registry.store = lambda artifact: f"s3://models/artifacts/{artifact.sha256}"
    monkeypatch.setattr(endpoints, "create", create)
    monkeypatch.setattr(endpoints.time, "sleep", lambda _: None)
    return made


@pytest.fixture
def artifact(tmp_path, monkeypatch) -> Path:
    """A file with the model's labels as its text."""

    def read(path: Path) -> Artifact:
        labels = path.read_text()
        if not labels:
            raise InvalidArtifact(f"{path.name} lacks model.pth: it is not a model artifact.")
        return Artifact(
            path=path, sha256="ab" * 32, weights_sha256="", name="n", version="1", labels=tuple(labels.split(","))
        )

    monkeypatch.setattr(command, "read_artifact", read)
    path = tmp_path / "model.tar.gz"
    path.write_text("normal,cap,covid")
    return path


def test_the_champion_serves_on_a_host_as_transform_jobs_have(wetread, made) -> None:
    result = wetread("endpoint", "up")
    assert (result.exit_code, result.stdout) == (0, "wetread-endpoint\n"), result.output
    assert "costs money until you end it" in result.stderr
    assert made == [
        (Served(called="wetread/3", artifact_uri="s3://models/wetread/3"), Hosting(instance_type="ml.m5.xlarge"))
    ]


def test_an_artifact_that_is_not_the_registered_one_makes_no_endpoint(wetread, connection, made) -> None:
    def changed(_version: object) -> str:
        raise PromotionRefused("The artifact of wetread/3 is not the one that was registered; register it again.")

    connection.registry.artifact_uri = changed
    result = wetread("endpoint", "up")
    assert (result.exit_code, made) == (1, [])
    assert "not the one that was registered" in result.stderr


def test_any_version_serves_and_a_withdrawn_one_with_a_warning(wetread, connection, made) -> None:
    withdrawal = Withdrawal(model_package="wetread/2", withdrawn_at="2026-11-22T08:00:00.000Z", reason="False alarms.")
    connection.champions.withdrawal = lambda package: withdrawal
    result = wetread("endpoint", "up", "--model", "wetread/2", "--instance-type", "ml.c5.xlarge")
    assert (result.exit_code, made[0][0].called, made[0][1].instance_type) == (0, "wetread/2", "ml.c5.xlarge")
    assert "wetread/2 is withdrawn: False alarms." in result.stderr


def test_an_artifact_serves_without_being_a_version(wetread, made, artifact) -> None:
    assert wetread("endpoint", "up", "--artifact", artifact, "--serverless", "2048").exit_code == 0
    assert made == [
        (
            Served(called="artifact abababababab", artifact_uri=f"s3://models/artifacts/{'ab' * 32}"),
            Hosting(instance_type="", serverless_memory_mb=2048),
        )
    ]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("normal,flu", "distinguishes normal, flu, and this service normal, cap, covid"),
        ("cap,normal,covid", "distinguishes cap, normal, covid"),
        ("", "is not a model artifact"),
    ],
)
def test_another_kind_of_artifact_is_refused(wetread, made, artifact, labels, expected) -> None:
    artifact.write_text(labels)
    result = wetread("endpoint", "up", "--artifact", artifact)
    assert (result.exit_code != 0, expected in result.stderr, made) == (True, True, [])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--model", "wetread/3", "--artifact", "a"), "--model or --artifact, not both"),
        (("--instance-type", "ml.m5.large", "--serverless", "1024"), "--instance-type or --serverless, not both"),
        (("--serverless", "1000"), "1024"),
        (("--model", "wetread/9"), "no version 'wetread/9'"),
        (("--artifact", "absent"), "no file 'absent'"),
    ],
)
def test_wrong_use_makes_nothing(wetread, made, options, expected) -> None:
    result = wetread("endpoint", "up", *options)
    assert (result.exit_code != 0, expected in result.stderr, made) == (True, True, []), result.output


def test_without_a_champion_something_must_be_named(wetread, connection, made) -> None:
    connection.registry.champion = lambda: None
    result = wetread("endpoint", "up")
    assert (result.exit_code, "no champion. Name a version" in result.stderr, made) == (2, True, [])


def test_there_is_one_at_most(wetread, connection, made) -> None:
    connection.hosting.exists(model="wetread/2")
    result = wetread("endpoint", "up")
    assert (result.exit_code, made) == (2, [])
    assert "is InService already, with wetread/2 (ml.m5.xlarge). End it first" in result.stderr


def test_one_that_never_becomes_healthy_is_ended_again_with_the_reason(wetread, connection, made) -> None:
    connection.hosting.statuses = ["Creating", "Failed"]
    connection.hosting.failure = "The primary container did not pass the ping health check."
    result = wetread("endpoint", "up")
    assert (result.exit_code, result.stdout, connection.hosting.made) == (1, "", {})
    for expected in ("did not pass the ping", "It was ended again", "/aws/sagemaker/Endpoints/wetread-endpoint"):
        assert expected in result.stderr


def test_answers_are_shown_as_predict_shows_them(wetread, connection, monkeypatch, tmp_path) -> None:
    answer = {"Schema": "prediction/1", "Class": "cap", "Probabilities": {"normal": 0.1, "cap": 0.7, "covid": 0.2}}
    monkeypatch.setattr(endpoints, "invoke", lambda _, body: json.dumps(answer | {"Read": body.decode()}).encode())
    (tmp_path / "a.dcm").write_text("a")
    result = wetread("endpoint", "invoke", tmp_path / "a.dcm", "--json")
    assert json.loads(result.stdout) == [{"File": str(tmp_path / "a.dcm"), **answer, "Read": "a"}]
    assert "70.0 %" in wetread("endpoint", "invoke", tmp_path / "a.dcm").stdout


def test_down_is_safe_to_repeat(wetread, connection, made) -> None:
    connection.hosting.exists()
    first, second = wetread("endpoint", "down"), wetread("endpoint", "down")
    assert (first.exit_code, "costs nothing more" in first.stderr) == (0, True)
    assert (second.exit_code, "nothing to end" in second.stderr) == (0, True)
