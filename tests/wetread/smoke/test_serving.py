"""The endpoint comes down whatever happens, and one that a person has up is left alone."""

from __future__ import annotations

import json

import pytest

from wetread.models import endpoint as endpoints
from wetread.smoke.phantoms import Marks
from wetread.smoke.serving import IDLE_SECONDS, Serving
from wetread.smoke.table import Verdict


@pytest.fixture
def serving(connection, monkeypatch) -> Serving:
    """A champion's endpoint that comes up, answers and goes down."""
    connection.registry.version = lambda wanted: type("V", (), {"model_package": wanted})
    connection.registry.artifact_uri = lambda _: "s3://models/artifacts/1/model.tar.gz"
    monkeypatch.setattr(endpoints, "create", lambda _c, served, _h: connection.hosting.exists(model=served.called))
    monkeypatch.setattr(endpoints.time, "sleep", lambda _: None)
    answer = json.dumps({"Schema": "prediction/2", "Class": "cap"}).encode()
    monkeypatch.setattr(endpoints, "invoke", lambda _c, _body: answer)
    return Serving(connection, Marks.new(), lambda: "", sleep=lambda _: None)


def test_it_is_asked_again_after_idle_seconds_and_is_gone_afterwards(serving, connection) -> None:
    idle: list[float] = []
    serving._sleep = idle.append
    lines = list(serving.lines())
    assert [one.verdict for one in lines] == [*[Verdict.OK] * 4, Verdict.LATER]
    assert idle == [IDLE_SECONDS]
    assert connection.hosting.made == {}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError()])
def test_an_endpoint_is_taken_down_however_its_probe_ends(serving, connection, monkeypatch, error) -> None:
    def invoke(_connection, _body) -> bytes:
        raise error

    monkeypatch.setattr(endpoints, "invoke", invoke)
    with pytest.raises(type(error)):
        list(serving.lines())
    assert connection.hosting.made == {}


def test_an_endpoint_that_is_up_is_left_alone(serving, connection) -> None:
    connection.hosting.exists()
    (line,) = serving.lines()
    assert line.verdict == Verdict.LATER
    assert "endpoint" in connection.hosting.made


def test_without_a_champion_and_a_candidate_there_is_nothing_to_serve(serving, connection) -> None:
    connection.registry.champion = lambda: None
    (line,) = serving.lines()
    assert line.verdict == Verdict.LATER
