"""A queued behaviour is taken when it takes effect, so a container that it cannot affect leaves it to the next."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from assurance.fault_injection import faulty
from localcloud.containers.container import Container, ContainerError, InvocationError
from wetread.project import PROJECT

PATIENCE_SECONDS = 60
MODEL = """
import os, socket, socketserver
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()
    def log_message(self, *_):
        pass

class Server(ThreadingHTTPServer):
    address_family = socket.AF_UNIX
    server_bind = socketserver.TCPServer.server_bind

Server(os.environ["WETREAD_BIND_TO_SOCKET"], Handler).serve_forever()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the behaviours, with none queued."""
    folder = tmp_path / "faulty"
    faulty.image_command(folder)
    return folder


@pytest.fixture
def container(tmp_path: Path, folder: Path) -> Callable[[], Container]:
    """Make containers that may misbehave in front of a model that answers everything."""
    (tmp_path / "code" / "model_code").mkdir(parents=True)
    (tmp_path / "code" / "model_code" / "__main__.py").write_text(MODEL)
    (tmp_path / "model").mkdir()
    command = (sys.executable, faulty.__file__, str(folder), "serve")

    def make() -> Container:
        environment = {"PYTHONPATH": str(tmp_path / "code")}
        return Container(PROJECT, tmp_path / "model", command=command, environment=environment)

    return make


@contextmanager
def held(running: Container, folder: Path) -> Iterator[Future[bytes]]:
    """Send a request and wait until a container withholds its answer; kill that container in the end."""
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1))
        answer = pool.submit(running.invoke, b"withheld")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not faulty.holding(folder) and not answer.done() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert faulty.holding(folder), "the answer was not withheld"
        stack.callback(faulty.kill_holder, folder)
        yield answer


def test_a_job_of_one_request_leaves_holding_to_one_of_two(folder: Path, container: Callable[[], Container]) -> None:
    faulty.queue(folder, faulty.HALFWAY)
    with container() as first:
        assert first.invoke(b"its only one") == b""
    assert faulty.waiting(folder) == [faulty.HALFWAY]
    with container() as second:
        assert second.invoke(b"one") == b""
        with held(second, folder) as answer:
            assert faulty.waiting(folder) == []
            assert not answer.done()


def test_one_of_two_containers_holds_and_the_other_behaves_well(
    folder: Path, container: Callable[[], Container]
) -> None:
    faulty.queue(folder, faulty.STUCK)
    with container() as first, container() as second, held(second, folder):
        assert [first.invoke(b"%d" % number) for number in range(3)] == [b""] * 3


def test_a_container_without_requests_takes_nothing_and_a_crash_waits_for_a_start(
    folder: Path, container: Callable[[], Container]
) -> None:
    faulty.queue(folder, faulty.SLOW, faulty.CRASH)
    with container() as idle:
        assert faulty.waiting(folder) == [faulty.SLOW, faulty.CRASH]
        idle.invoke(b"slow")
        idle.invoke(b"slow, too")
        assert faulty.waiting(folder) == [faulty.CRASH]
    with pytest.raises(ContainerError, match="crashes"), container():
        pass
    assert faulty.waiting(folder) == []


def test_every_third_request_fails_in_the_container_that_had_a_third(
    folder: Path, container: Callable[[], Container]
) -> None:
    faulty.queue(folder, faulty.FAIL)
    with container() as small, container() as large:
        for running in (small, large):
            assert [running.invoke(b"sound") for _ in range(2)] == [b""] * 2
        for _ in range(2):
            with pytest.raises(InvocationError, match="500"):
                large.invoke(b"the third")
            assert [large.invoke(b"sound") for _ in range(2)] == [b""] * 2
        assert [small.invoke(b"sound") for _ in range(4)] == [b""] * 4


def test_the_queue_is_never_seen_half_written(folder: Path) -> None:
    faulty.queue(folder, *[faulty.CRASH] * 200)
    lengths: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            lengths.append(len(faulty.waiting(folder)))

    watcher = threading.Thread(target=look)
    watcher.start()
    taken = [faulty.claim(folder, 0) for _ in range(150)]
    ended.set()
    watcher.join()
    assert taken == [faulty.CRASH] * 150
    assert len(faulty.waiting(folder)) == 50
    assert lengths == sorted(lengths, reverse=True)
    assert min(lengths, default=50) >= 50
