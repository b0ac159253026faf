"""The sweep alone: events of jobs and ticks are lost, and uploads still get their rows."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from functions.domain.champion import Withdrawal
from functions.domain.row import Status, timestamp
from functions.names import IndexName
from tests.e2e.conftest import Service, running
from tests.e2e.controls import configure, function
from tests.instruments import VARIABLE, loaded_with
from tests.instruments.unreliable_events import LOST
from wetread.demo.phantoms import phantom_bytes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Service]:
    """A service with a champion in which only the sweep starts and collects jobs."""
    lost = {VARIABLE: loaded_with("unreliable_events"), LOST: "1"}
    with running(tmp_path_factory.mktemp("home"), artifact, settings={"express": True}, **lost) as service:
        functions = service.connection.client("lambda")
        (mapping,) = functions.list_event_source_mappings(FunctionName=function(service, "Dispatch"))[
            "EventSourceMappings"
        ]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        configure(service, "Sweep", STALE_SECONDS="1")
        yield service


def sweep(service: Service) -> None:
    answer = service.connection.client("lambda").invoke(FunctionName=function(service, "Sweep"))
    assert "FunctionError" not in answer, answer["Payload"].read()


def sweep_until_all_have_ended(service: Service, uploads: Mapping[str, str]) -> None:
    deadline = time.monotonic() + 240
    while not all(row.status.terminal for row in service.connection.index.get_many(uploads.values()).values()):
        assert time.monotonic() < deadline, service.connection.index.get_many(uploads.values())
        sweep(service)
        time.sleep(1)


def stored(service: Service, name: str) -> dict[str, str]:
    """Two uploads with waiting rows."""
    bodies = {f"{name}/{n}.dcm": phantom_bytes("cap", 40 + n, 0, size=128, seed=len(name)) for n in range(2)}
    uploads = service.put_all(bodies)
    deadline = time.monotonic() + 60
    while len(service.connection.index.get_many(uploads.values())) < len(uploads):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return uploads


def test_uploads_are_read_without_any_event(service: Service) -> None:
    uploads = stored(service, "unheard")
    sweep_until_all_have_ended(service, uploads)
    rows = service.rows(uploads)
    assert {(row.status, row.lane) for row in rows.values()} == {(Status.COMPLETED, "express")}


def test_a_job_that_runs_too_long_is_stopped_and_its_uploads_are_read_by_another(service: Service) -> None:
    configure(service, "Sweep", EXPRESS="False", MAX_JOB_SECONDS="0")
    before, uploads = set(service.jobs()), stored(service, "too-long")
    while not set(service.jobs()) - before:
        sweep(service)
    sweep(service)
    configure(service, "Sweep", MAX_JOB_SECONDS="3600")
    sweep_until_all_have_ended(service, uploads)
    assert {row.status for row in service.rows(uploads).values()} == {Status.COMPLETED}
    sagemaker = service.connection.sagemaker
    ends = [
        sagemaker.describe_transform_job(TransformJobName=name)["TransformJobStatus"]
        for name in set(service.jobs()) - before
    ]
    assert sorted(ends) == ["Completed", "Completed", "Stopped"], "together they would be stopped again"


def test_results_of_a_version_withdrawn_a_while_ago_are_marked(service: Service) -> None:
    """As after a rollback whose marks were lost; the pointer moves to a version that does not serve."""
    champions, now = service.connection.registry.champions, datetime.now(UTC)
    current = champions.get()
    assert current is not None
    since = timestamp(now - timedelta(hours=1))
    withdrawal = Withdrawal(model_package=current.model_package, withdrawn_at=since, reason="a test")
    other = dataclasses.replace(current, model_package="wetread/0", promoted_at=timestamp(now))
    assert champions.move(other, current, withdrawal)
    sweep(service)
    rows = list(service.connection.index.find(IndexName.BY_MODEL, current.model_package))
    assert len(rows) == 4
    assert {row.withdrawn_at for row in rows} == {since}
