"""Start, find and end the launcher of one home. The lock that it holds shows that it runs; a pid file may be stale."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time

from localcloud.access.key import HEALTH_PATH, Key
from localcloud.home import CloudError, Home, open_private
from localcloud.project import Project

DEFAULT_PORT = 4566
_HEALTH_SECONDS = 5.0
_START_SECONDS = 60.0
_END_SECONDS = 10.0
_POLL_SECONDS = 0.03

# Launchers started by this process, by process id. They are kept: the tether is the pipe to their standard input.
_started: dict[int, subprocess.Popen[bytes]] = {}


def running(home: Home) -> int | None:
    """Return the process id of this home's launcher; None if none runs, even if its file is left."""
    try:
        with home.launcher_lock.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0) or None
    except FileNotFoundError:
        return None
    return None


def healthy(key: Key, endpoint: str) -> bool:
    """Return whether a launcher that holds `key` answers at `endpoint`; another program cannot pretend to."""
    challenge = secrets.token_hex(16)
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=_HEALTH_SECONDS)
    try:
        connection.request("GET", f"{HEALTH_PATH}?challenge={challenge}")
        answer = connection.getresponse()
        proof = str(json.loads(answer.read())["proof"])
        return answer.status == http.HTTPStatus.OK and secrets.compare_digest(
            proof.encode(), key.proof(challenge).encode()
        )
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False
    finally:
        connection.close()


def choose_port(project: Project, remembered: int | None) -> int:
    """Return the port for a start: the remembered one (queue URLs contain it), else `$<prefix>PORT`, else a free one.

    Raise CloudError if the remembered port is in use.
    """
    if remembered is not None:
        if not _bindable(remembered):
            raise CloudError(
                f"Port {remembered}, on which this local cloud was created, is used by another program. "
                f"End that program, or start afresh with `{project.name} down --wipe`."
            )
        return remembered
    wanted = int(os.environ.get(project.variable("PORT"), DEFAULT_PORT))
    if _bindable(wanted):
        return wanted
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        return int(attempt.getsockname()[1])


def start(home: Home, key: Key, endpoint: str, *, tether: bool) -> int:
    """Start the launcher, wait for its answer, and return its process id; raise CloudError with the end of its log."""
    for ended in [pid for pid, launcher in _started.items() if launcher.poll() is not None]:
        _forget(ended)
    project = home.project
    environment = {
        **os.environ,
        project.variable("HOME"): str(home.root),
        project.variable("PORT"): endpoint.rpartition(":")[2],
    }
    if tether:
        environment[project.variable("TETHER")] = "1"
    with open_private(home.log_file, "ab") as log:
        launcher = subprocess.Popen(  # noqa: S603 (this package, in this interpreter)
            [sys.executable, "-m", "localcloud.host.launcher", project.to_json()],
            cwd=project.folder,
            env=environment,
            stdin=subprocess.PIPE if tether else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _started[launcher.pid] = launcher
    deadline = time.monotonic() + _START_SECONDS
    while not healthy(key, endpoint):
        if launcher.poll() is not None:
            _forget(launcher.pid)
            raise CloudError(f"The local cloud did not start. The end of {home.log_file}:\n{_last_lines(home)}")
        if time.monotonic() > deadline:
            stop(home)
            raise CloudError(
                f"The local cloud did not answer within {_START_SECONDS:g} seconds and was stopped. "
                f"On a busy machine, start it again. The end of {home.log_file}:\n{_last_lines(home)}"
            )
        time.sleep(_POLL_SECONDS)
    return launcher.pid


def stop(home: Home) -> None:
    """End the launcher with SIGTERM, or SIGKILL if it takes too long. The reaper ends its children."""
    for number, patience in ((signal.SIGTERM, _END_SECONDS), (signal.SIGKILL, _END_SECONDS)):
        pid = running(home)
        if pid is None:
            break
        os.kill(pid, number)
        deadline = time.monotonic() + patience
        while running(home) is not None and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if running(home) is None:
            _forget(pid)
    if running(home) is not None:
        raise CloudError(f"Process {running(home)}, the local cloud in {home.root}, cannot be ended.")


def _forget(pid: int) -> None:
    """Reap a launcher that has ended, if it was a child of this process."""
    launcher = _started.pop(pid, None)
    if launcher is not None:
        launcher.wait()
        if launcher.stdin is not None:
            launcher.stdin.close()


def _bindable(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _last_lines(home: Home) -> str:
    return "\n".join(home.log_file.read_text(errors="replace").splitlines()[-15:])
