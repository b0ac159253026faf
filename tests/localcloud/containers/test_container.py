from __future__ import annotations

import hashlib
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localcloud.archive import pack
from localcloud.containers.container import Container, ContainerError, InvocationError
from tests.localcloud.example import PROJECT


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "extracted"
    folder.mkdir()
    (folder / "model.pth").write_bytes(b"weights")
    return folder


@pytest.fixture
def container(model):
    def make(source=model, **options):
        return Container(PROJECT, source, **options)

    return make


def test_a_folder_and_an_archive_serve_alike(container, model, tmp_path):
    pack(model, tmp_path / "model.tar.gz")
    for source in (model, tmp_path / "model.tar.gz"):
        with container(source) as running:
            answer = json.loads(running.invoke(b"an object"))
        assert answer["sha256"] == hashlib.sha256(b"an object").hexdigest()
        assert answer["model"] == ["model.pth"]
        assert answer["type"] == "application/dicom"


def test_many_threads_may_invoke(container):
    bodies = [f"object {number}".encode() for number in range(40)]
    with container() as running, ThreadPoolExecutor(8) as pool:
        answers = [json.loads(answer)["sha256"] for answer in pool.map(running.invoke, bodies)]
    assert answers == [hashlib.sha256(body).hexdigest() for body in bodies]


def test_the_environment_is_clean(container, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the caller's own")
    with container(environment={"FAKE_SETTING": "given"}) as running:
        seen = json.loads(running.invoke(b""))["environment"]
    assert seen["FAKE_SETTING"] == "given"
    assert seen["AWS_ACCESS_KEY_ID"] is None


def test_execution_parameters_are_optional(container):
    with container() as running:
        assert running.execution_parameters() == {}
    with container(environment={"FAKE_PARAMETERS": '{"MaxConcurrentTransforms": 3}'}) as running:
        assert running.execution_parameters() == {"MaxConcurrentTransforms": 3}


def test_a_crash_at_the_start_shows_the_last_lines(container):
    with pytest.raises(ContainerError, match=r"(?s)ended before it answered /ping.*no model here"):
        container(environment={"FAKE_START": "crash"}).__enter__()


def test_a_container_that_does_not_answer_ping_is_given_up_and_stopped(container, tmp_path, until):
    hanging = container(environment={"FAKE_PING": "never"}, startup_seconds=0.5, scratch=tmp_path)
    with pytest.raises(ContainerError, match=r"(?s)did not answer /ping within 0\.5 seconds.*serving the fake model"):
        hanging.__enter__()
    assert not hanging.running()
    assert not list(tmp_path.glob("container-*"))


def test_a_start_can_be_cancelled(container):
    cancelled = threading.Event()
    cancelled.set()
    hanging = container(environment={"FAKE_PING": "never"})
    with pytest.raises(ContainerError, match="stopped before"):
        hanging.start(cancelled)
    hanging.stop()


def test_an_invocation_can_fail_in_three_ways(container):
    with container() as running:
        with pytest.raises(InvocationError, match="418") as refused:
            running.invoke(b"status 418")
        with pytest.raises(InvocationError, match=r"did not respond to /invocations request within 0\.2 seconds"):
            running.invoke(b"sleep 5", timeout=0.2)
        with pytest.raises(InvocationError, match="broke"):
            running.invoke(b"die")
        assert refused.value.status == 418


def test_an_answer_can_be_had_whatever_it_is(container):
    with container() as running:
        answer = running.post(b"status 418 a teapot", content_type="text/plain", accept="*/*", timeout=5)
    assert (answer.status_code, answer.headers["content-type"], answer.text) == (418, "text/plain", "a teapot")


def test_a_container_that_ignores_sigterm_is_killed(container):
    running = container(environment={"FAKE_STOP": "never"})
    running.start()
    pid = running.pid
    running.stop(grace=0.2)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_file_that_is_not_an_archive_is_named(container, tmp_path):
    (tmp_path / "model.tar.gz").write_bytes(b"nothing")
    with pytest.raises(ContainerError, match=r"model\.tar\.gz is no usable tar archive"):
        container(tmp_path / "model.tar.gz").__enter__()


def test_no_port_is_opened_and_only_the_owner_may_enter_the_folder_of_the_socket(container):
    with container() as running:
        assert running.socket.parent.stat().st_mode & 0o077 == 0
        assert not _ports(running.pid)
    assert not running.socket.parent.exists()


def _ports(pid):
    """Return the IP connections of a process, by the inodes of its open files."""
    files = [str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()] if Path("/proc").exists() else []
    tables = [Path(f"/proc/{pid}/net/{table}") for table in ("tcp", "tcp6")]
    inodes = {line.split()[9] for table in tables if table.exists() for line in table.read_text().splitlines()[1:]}
    return [file for file in files if file.removeprefix("socket:[").removesuffix("]") in inodes]
