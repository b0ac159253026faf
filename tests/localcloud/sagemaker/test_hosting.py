"""How endpoints begin and end with the launcher, without a cloud around them."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from localcloud.sagemaker import endpoints as module
from localcloud.sagemaker.endpoint_configs import EndpointConfigs
from localcloud.sagemaker.endpoints import Endpoints
from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.hosting import Hosting, hosted
from localcloud.sagemaker.jobs import JobStopped
from localcloud.sagemaker.limits import Limits
from localcloud.sagemaker.machine import Machine
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.store import Store
from tests.localcloud.example import PROJECT

RECORD = {
    "EndpointArn": "arn",
    "Variant": {"VariantName": "main", "InitialInstanceCount": 1},
    "Container": {"ModelDataUrl": "s3://b/model.tar.gz"},
    "ExecutionRoleArn": "arn:aws:iam::000000000000:role/none",
}


@pytest.fixture
def store():
    return Store(lambda: None)


@pytest.fixture
def machine(tmp_path):
    """A machine on which no emulator listens yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Machine(endpoint=f"http://127.0.0.1:{port}", scratch=tmp_path, ping_seconds=1, project=PROJECT)


@pytest.fixture
def endpoints(store, machine):
    def make(startup=0.0):
        models = Models(store, machine.endpoint)
        limits = Limits(store, instances=20, creates_a_second=0)
        return Endpoints(store, EndpointConfigs(store, models), models, limits, machine, startup)

    return make


@pytest.fixture
def containers(monkeypatch):
    """Replace containers: each is a name in this list while it runs."""
    running = []

    @contextlib.contextmanager
    def fake(hosting, _machine):
        running.append(hosting.record["EndpointName"])
        try:
            yield "container"
        finally:
            running.remove(hosting.record["EndpointName"])

    monkeypatch.setattr(module, "hosted", fake)
    return running


@pytest.fixture
def threads(until):
    """The threads of endpoints; none may be left."""

    def listed():
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("endpoint-")]

    yield listed
    until(lambda: not listed())


def saved(store, **statuses):
    store.endpoints = {
        name: {**RECORD, "EndpointName": name, "EndpointStatus": status} for name, status in statuses.items()
    }


def statuses(store):
    return {name: record["EndpointStatus"] for name, record in store.endpoints.items()}


def test_what_was_up_is_started_again_and_nothing_else(store, endpoints, containers, threads, until):
    saved(store, was="InService", began="Creating", went="Deleting", broke="Failed")
    resumed = endpoints()
    resumed.resume()
    until(lambda: statuses(store) == {"was": "InService", "began": "InService", "broke": "Failed"})
    assert sorted(containers) == ["began", "was"]
    assert resumed.serving("was") == (RECORD["Variant"], "container")
    assert resumed.serving("broke") is None
    resumed.close()


def test_it_is_creating_until_its_container_answers(store, endpoints, containers, threads):
    saved(store, was="InService")
    resumed = endpoints(startup=60)
    resumed.resume()
    assert statuses(store) == {"was": "Creating"}
    assert resumed.serving("was") is None
    resumed.close()


def test_a_closing_service_ends_all_containers_and_changes_no_record(store, endpoints, containers, threads, until):
    saved(store, was="InService")
    resumed = endpoints()
    resumed.resume()
    until(lambda: statuses(store) == {"was": "InService"})
    resumed.close()
    until(lambda: not threads())
    assert containers == []
    assert statuses(store) == {"was": "InService"}


def test_an_endpoint_can_be_deleted_before_it_has_its_instance(store, endpoints, containers, threads, until):
    saved(store, was="InService")
    resumed = endpoints(startup=60)
    resumed.resume()
    resumed.delete({"EndpointName": "was"})
    until(lambda: not store.endpoints)
    assert containers == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [(invalid("no such role"), "no such role"), (KeyError("a mistake of ours"), "InternalServerError: We encountered")],
)
def test_whatever_goes_wrong_is_the_reason(store, endpoints, threads, until, monkeypatch, error, reason):
    def fails(_hosting, _machine):
        raise error

    monkeypatch.setattr(module, "hosted", fails)
    saved(store, was="Creating")
    resumed = endpoints()
    resumed.resume()
    until(lambda: statuses(store) == {"was": "Failed"})
    assert store.endpoints["was"]["FailureReason"].startswith(reason)
    resumed.delete({"EndpointName": "was"})
    assert store.endpoints == {}


def test_hosting_waits_for_the_emulator_until_it_is_cancelled(machine):
    hosting = Hosting({**RECORD, "EndpointName": "was"})
    threading.Timer(0.3, hosting.cancelled.set).start()
    with pytest.raises(JobStopped), hosted(hosting, machine):
        pytest.fail("nothing can be hosted here")
