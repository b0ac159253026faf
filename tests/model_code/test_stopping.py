"""SIGTERM ends every command, also as the first process of a container, for which Linux ignores what has no handler."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_code import stopping
from tests.model_code.training.test_cluster import HOSTS, free_port, resource_config

SECONDS = 60
ROOT = Path(__file__).parents[2]
FIRST_PROCESS = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]


def _can_unshare() -> bool:
    unshare = shutil.which("unshare")
    return bool(unshare) and subprocess.run([*FIRST_PROCESS, "true"], check=False, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not _can_unshare(), reason="no PID namespace can be made here")


@contextmanager
def first_process(arguments: list[str], environ: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python with ``arguments`` as the first process of a PID namespace; yield the process that waits for it."""
    with log.open("wb") as output:
        outside = subprocess.Popen(
            [*FIRST_PROCESS, sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environ},
            stdout=output,
            stderr=output,
        )
    try:
        yield outside
    finally:
        outside.kill()
        outside.wait()


def wait_until(happened: Callable[[], bool], outside: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until ``happened()``; fail when the process ends before."""
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert outside.poll() is None, f"it ended with {outside.returncode}: {log.read_text()}"
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.005)


def inside(outside: subprocess.Popen[bytes]) -> int:
    """Return the first process's id as seen from here, 0 while there is none."""
    children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
    return int(children[0]) if children else 0


def handles_sigterm(outside: subprocess.Popen[bytes]) -> bool:
    if not (process := inside(outside)):
        return False
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return bool(int(status["SigCgt"], 16) & (1 << (signal.SIGTERM - 1)))


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["train"],
        ["audit"],
        ["optimise", "--trained", "1-2"],
        ["evaluate", "--candidate-sha256", "0"],
        ["check", "absent.tar.gz"],
    ],
    ids=lambda command: command[0],
)
def test_a_command_that_still_imports_ends_at_sigterm(tmp_path: Path, command: list[str]) -> None:
    log = tmp_path / "log"
    with first_process(["-m", "model_code", *command], {"SAGEMAKER_BASE_DIR": str(tmp_path)}, log) as outside:
        wait_until(lambda: handles_sigterm(outside), outside, log)
        os.kill(inside(outside), signal.SIGTERM)
        assert outside.wait(SECONDS) in (stopping.STATUS, 0), log.read_text()
    assert not (tmp_path / "output").exists()


def test_a_training_host_that_waits_for_the_others_ends_at_sigterm(tmp_path: Path) -> None:
    resource_config(tmp_path / "input/config/resourceconfig.json", HOSTS[0])
    log, port = tmp_path / "log", free_port()
    environ = {"SAGEMAKER_BASE_DIR": str(tmp_path), "MASTER_PORT": str(port)}
    listens = re.compile(rf":{port:04X} 0+:0000 0A ")

    def waits() -> bool:
        return any(listens.search(Path("/proc/net", name).read_text()) for name in ("tcp", "tcp6"))

    with first_process(["-m", "model_code", "train"], environ, log) as outside:
        wait_until(waits, outside, log)
        os.kill(inside(outside), signal.SIGTERM)
        assert outside.wait(SECONDS) == stopping.STATUS, log.read_text()
    assert not (tmp_path / "output").exists()


# A mutex that is locked twice is waited for in C, signals or not.
WAITS_IN_C = """
import ctypes, signal
from model_code import stopping
stopping.end_at_sigterm()
signal.signal(signal.SIGUSR1, lambda *_: None)
mutex, libc = ctypes.create_string_buffer(64), ctypes.CDLL(None)
libc.pthread_mutex_lock(mutex)
print("waits")
libc.pthread_mutex_lock(mutex)
"""


def test_a_process_in_a_long_call_ends_at_sigterm_and_at_no_other_signal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with first_process(["-c", WAITS_IN_C], {}, log) as outside:
        wait_until(lambda: "waits" in log.read_text(), outside, log)
        os.kill(inside(outside), signal.SIGUSR1)
        with pytest.raises(subprocess.TimeoutExpired):
            outside.wait(2 * stopping.GRACE_SECONDS)
        os.kill(inside(outside), signal.SIGTERM)
        assert outside.wait(SECONDS) == stopping.STATUS


# As OpenVINO does with what a Python function raises that it calls.
CALLED_BACK = """
import ctypes
from model_code import stopping
stopping.end_at_sigterm()

@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def compare(one, other):
    print("compares")
    while True:
        pass

ctypes.CDLL(None).qsort((ctypes.c_int * 2)(), 2, 4, compare)
"""


def test_a_library_that_called_back_does_not_make_a_failure_of_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with first_process(["-c", CALLED_BACK], {}, log) as outside:
        wait_until(lambda: "compares" in log.read_text(), outside, log)
        os.kill(inside(outside), signal.SIGTERM)
        assert outside.wait(SECONDS) == stopping.STATUS, log.read_text()


FORKS = """
import os, signal, time
from model_code import stopping
stopping.end_at_sigterm()
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.write(writer, b".")
    time.sleep(600)
os.read(reader, 1)
os.kill(child, signal.SIGTERM)
print("the child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
time.sleep(2 * stopping.GRACE_SECONDS)
"""


def test_a_forked_childs_sigterm_ends_the_child_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with first_process(["-c", FORKS], {}, log) as outside:
        assert outside.wait(SECONDS) == 0, log.read_text()
    assert log.read_text() == f"the child ended with {stopping.STATUS}\n"
