"""What listens while an endpoint and a function run, and what another user of the machine gets there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from localcloud.host import process

NOBODY = 65534
LISTENING = "0A"
PATHS = ("/", "/ping", "/execution-parameters", "/2018-06-01/runtime/invocation/next", "/2018-06-01/runtime/init/error")

pytestmark = [
    pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="what listens is read from Linux's /proc"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]


@pytest.fixture
def busy(client, endpoint, settled, function):
    """An endpoint in service and a function in the middle of an invocation."""
    name = endpoint()
    assert settled(name)["EndpointStatus"] == "InService"
    slow = function(
        "import pathlib, time\ndef handler(event, context):\n    while not pathlib.Path(event).exists():\n"
        "        time.sleep(0.05)\n    return 'undisturbed'"
    )
    client("lambda").invoke(FunctionName=slow, Payload=b'"/"')
    return slow


def family(pid):
    """Return a process and its descendants."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
    parents = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = {pid}
    while more := {child for child, parent in parents if parent in found} - found:
        found |= more
    return found


def listening(pids):
    """Return (address, port) of every IP socket on which one of the processes listens; addresses as in /proc."""
    inodes = set()
    for pid in pids:
        # A process may end, and a file be closed, at any time.
        with suppress(FileNotFoundError, ProcessLookupError):
            for file in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):
                    link = str(file.readlink())
                    if link.startswith("socket:["):
                        inodes.add(link[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _slot, local, _remote, state, *_rest = line.split()
            if state == LISTENING and line.split()[9] in inodes:
                address, port = local.split(":")
                found.add((address, int(port, 16)))
    return found


def curl(*arguments):
    """Return the status that curl gets as another user; 000 without an answer."""
    line = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "60", *arguments]
    done = subprocess.run(line, user=NOBODY, group=NOBODY, extra_groups=[], check=False, capture_output=True, text=True)
    return done.stdout


def test_every_port_that_is_open_refuses_another_user(here, client, busy, tmp_path):
    answers, over = [], tmp_path / "over"
    payload = json.dumps(str(over)).encode()
    invocation = threading.Thread(
        target=lambda: answers.append(client("lambda").invoke(FunctionName=busy, Payload=payload)["Payload"].read())
    )
    invocation.start()
    open_ports = listening(family(process.running(here.home)))
    assert {address for address, _port in open_ports} == {"0100007F"}  # 127.0.0.1
    assert len(open_ports) >= 2  # the cloud's own and the function's Runtime API
    for address, port in open_ports:
        for path in PATHS:
            url = f"http://127.0.0.1:{port}{path}"
            statuses = {curl(url), curl("-X", "POST", "-H", "Content-Type: text/plain", "-d", "forged", url)}
            # An environment of an earlier test may have ended meanwhile.
            assert statuses == {"403"} or (address, port) not in listening(family(process.running(here.home)))
    assert not answers
    over.touch()
    invocation.join(60)
    assert answers == [b'"undisturbed"']


def test_the_container_s_socket_is_out_of_another_user_s_reach(busy):
    sockets = list(Path(tempfile.gettempdir()).glob("container-*/socket"))
    assert sockets
    for socket in sockets:
        assert curl("--unix-socket", str(socket), "http://container/ping") == "000"
