"""`serve` in a container, as batch transform and an endpoint use it: its answers, its protocol, and its limits."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

from assurance.image.bench import Bench, NotJudged, in_time, status_of
from assurance.image.engine import Container
from assurance.image.network import Link, Reply, ask, connect, wait_for_ping
from tests.serving import serving
from wetread.demo.encode import TRANSFER_SYNTAXES
from wetread.demo.phantoms import LABELS, phantom_bytes

FIRST_PING = 2.5  # seconds, on a machine with nothing else to do
TRIES = 3
AT_ONCE = 4
MEMORY = "512m"
IN_FLIGHT = 16
KIND = {"Content_Type": "application/dicom"}
# As a batch transform job has them.
VARIABLES = ("BIND_TO_PORT=8080", "SAFE_PORT_RANGE=21000-22000", "BATCH=true", "MAX_PAYLOAD_IN_MB=16",
             "BATCH_STRATEGY=SINGLE_RECORD")  # fmt: skip
LOCKED_UP = (
    "--read-only", "--read-only-tmpfs=false", "--user=65534:65534", "--cap-drop=ALL", "--unsetenv=HOME",
    "--security-opt=no-new-privileges", "--shm-size=64k", "--pids-limit=64",
)  # fmt: skip


def first_ping(bench: Bench) -> str:
    """Measure the time to the first answer of /ping, the shortest of a few starts."""
    times: list[float] = []
    while len(times) < TRIES and not (times and min(times) <= FIRST_PING):
        since = time.monotonic()
        with _served(bench, *LOCKED_UP):
            times.append(time.monotonic() - since)
    return in_time(min(times), FIRST_PING)


def answers(bench: Bench) -> str:
    """Compare the answers with those of the same model on this machine, outside of a container."""
    with _served(bench) as container:
        inside = documents(_post_all(container))
    assert inside == _of_this_machine(bench), "the container answers differently from this machine"
    return f"the same {len(inside)} answers as on this machine, in {len(TRANSFER_SYNTAXES)} transfer syntaxes"


def locked_up(bench: Bench) -> str:
    """Serve as nobody without a writable file, a capability, a HOME, and with little shared memory."""
    with _served(bench, *LOCKED_UP) as container:
        assert documents(_post_all(container)) == _of_this_machine(bench), "other answers than with all rights"
    return "the same answers as nobody, with nothing writable and no capability"


def memory(bench: Bench) -> str:
    """Serve within a limit of memory, with several requests at once."""
    with _served(bench, f"--memory={MEMORY}", f"--memory-swap={MEMORY}") as container:
        assert documents(_post_all(container)) == _of_this_machine(bench), "other answers in little memory"
        peak = _peak(container)
    return f"within {MEMORY}; at most {peak / 1e6:.0f} MB were used" if peak else f"within {MEMORY}"


def quota(bench: Bench) -> str:
    """Compute as many slices at once as the quota has processors, not as many as are visible."""
    visible = len(os.sched_getaffinity(0))
    if visible < 2:
        raise NotJudged("it needs two processors")
    found = {}
    for limit, options in {visible: (), 1: ("--cpus=1",)}.items():
        with _served(bench, *options) as container:
            found[limit] = int(_found(r"with (\d+) workers", container.log()))
    assert found == {limit: limit for limit in found}, f"workers by processors: {found}"
    return f"{visible} workers on {visible} processors, 1 with a quota of 1"


def protocol(bench: Bench) -> str:
    """Speak HTTP as SageMaker's proxies may: each is answered as SageMaker expects."""
    body = _slices()[0]
    variables = [f"--env=SAGEMAKER_{one}" for one in VARIABLES]
    with _served(bench, *variables) as container:
        pid = container.pid
        advice = json.loads(ask(pid, "GET", "/execution-parameters").body)
        expected = {"BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 16}
        assert expected.items() <= advice.items(), advice
        assert advice["MaxConcurrentTransforms"] >= 1, advice
        whole = documents([ask(pid, "POST", "/invocations", body, **KIND)])
        for name, reply in _spoken(pid, body).items():
            assert reply.status == 200, f"{name}: status {reply.status}"
            assert documents([reply]) == whole, f"{name}: another answer"
        refused = {
            "HEAD /ping": ask(pid, "HEAD", "/ping"),
            "no body": ask(pid, "POST", "/invocations", b"", **KIND),
            "too large": ask(pid, "POST", "/invocations", bytes(17 << 20), **KIND),
            "another type": ask(pid, "POST", "/invocations", body, Content_Type="text/csv"),
            "another answer": ask(pid, "POST", "/invocations", body, Accept="text/csv", **KIND),
            "GET": ask(pid, "GET", "/invocations"),
        }
    statuses = {name: reply.status for name, reply in refused.items()}
    assert list(statuses.values()) == [200, 200, 413, 415, 406, 405], statuses
    assert b'"Error"' in refused["no body"].body
    return "chunks, 100-continue, HTTP/1.0, one connection for several, 413, 415, 406, 405, an error document"


def in_flight(bench: Bench) -> str:
    """Stop it with requests in flight: each is answered, and the status is 0."""
    body = _slices()[0]
    with _served(bench) as container:
        pid = container.pid
        links = [connect(pid) for _ in range(IN_FLIGHT)]
        for link in links:
            link.sendall(_request(body))
        first = _received(links[0])  # the server has read from all connections by then
        container.signal("TERM")
        replies = [first, *map(_received, links[1:])]
        ended = status_of(0, container.wait(30), container.log())
    statuses = [reply.status for reply in replies]
    assert statuses == [200] * IN_FLIGHT, statuses
    return f"{IN_FLIGHT} requests in flight were answered with 200; {ended}"


def documents(replies: Sequence[Reply]) -> list[dict[str, Any]]:
    """Return the documents of answers without their timings; asserts that each is an answer with a class."""
    found = []
    for reply in replies:
        assert reply.status == 200, f"status {reply.status}: {reply.body[:200]!r}"
        document = json.loads(reply.body)
        assert "Class" in document, document
        document.pop("TimingsMs")
        found.append(document)
    return found


@contextmanager
def _served(bench: Bench, *options: str) -> Iterator[Container]:
    """Start ``serve`` on the optimised model, which cannot be written, and wait for /ping."""
    volume = f"--volume={bench.served() / 'model'}:/opt/ml/model:ro"
    with bench.started(["serve"], volume, *options) as container:
        try:
            wait_for_ping(container.pid)
        except RuntimeError as error:
            raise RuntimeError(f"{error}: {container.log().strip()[-400:]}") from None
        yield container


def _post_all(container: Container) -> list[Reply]:
    pid = container.pid
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda body: ask(pid, "POST", "/invocations", body, **KIND), _slices()))


@cache
def _slices() -> tuple[bytes, ...]:
    """Return a phantom of each class in each transfer syntax, so that each decoder of the image is used."""
    pairs = [(label, syntax) for label in LABELS for syntax in TRANSFER_SYNTAXES]
    return tuple(
        phantom_bytes(label, number, 0, size=128, transfer_syntax=syntax)
        for number, (label, syntax) in enumerate(pairs)
    )


@cache
def _of_this_machine(bench: Bench) -> list[dict[str, Any]]:
    """Return the documents that ``serve`` answers as a process of this machine."""
    with serving(bench.served()) as (_, client):
        posted = [client.post("/invocations", content=body, headers={"Content-Type": "application/dicom"})
                  for body in _slices()]  # fmt: skip
    return documents([Reply(one.status_code, one.content) for one in posted])


def _spoken(pid: int, body: bytes) -> dict[str, Reply]:
    """Return the answers to one body that is sent in several ways."""
    chunked, kept = Link(pid), Link(pid)
    chunked.request("POST", "/invocations", iter([body[:100], body[100:]]), {"Content-Type": "application/dicom"},
                    encode_chunked=True)  # fmt: skip
    answer = chunked.getresponse()
    replies = {"chunks": Reply(answer.status, answer.read())}
    chunked.close()
    for turn in ("first", "second"):
        kept.request("POST", "/invocations", body, {"Content-Type": "application/dicom"})
        answer = kept.getresponse()
        replies[f"the {turn} of one connection"] = Reply(answer.status, answer.read())
    kept.close()
    with connect(pid) as old:
        old.sendall(_request(body, "1.0"))
        replies["HTTP/1.0"] = _received(old)
    with connect(pid) as polite:
        head, _, rest = _request(body, more="Expect: 100-continue\r\n").partition(b"\r\n\r\n")
        polite.sendall(head + b"\r\n\r\n")
        interim = polite.recv(1024)
        assert interim.startswith(b"HTTP/1.1 100"), interim
        polite.sendall(rest)
        replies["100-continue"] = _received(polite)
    return replies


def _request(body: bytes, version: str = "1.1", more: str = "") -> bytes:
    head = f"POST /invocations HTTP/{version}\r\nHost: container\r\nContent-Type: application/dicom\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _received(link: socket.socket) -> Reply:
    """Read one answer from a socket, and close it."""
    answer = http.client.HTTPResponse(link)
    answer.begin()
    reply = Reply(answer.status, answer.read())
    link.close()
    return reply


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, f"no {pattern!r} in the log: {text[-300:]}"
    return match[1]


def _peak(container: Container) -> int:
    """Return the most memory that the container used, in bytes; 0 where its control group has no such count."""
    for name in ("memory.peak", "memory/memory.max_usage_in_bytes"):
        read = container.engine.podman("exec", container.name, "cat", f"/sys/fs/cgroup/{name}")
        if read.status == 0:
            return int(read.log)
    return 0
