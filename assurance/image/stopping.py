"""SIGTERM as a container's first process, which no signal ends that has no handler: every command ends in time."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from assurance.image.bench import Bench, Check, in_time, status_of
from assurance.image.engine import Container
from assurance.image.network import listens
from assurance.image.processing import optimising
from assurance.image.training import HOSTS, STOPPED

LONGEST, PATIENCE = 2.0, 30.0  # seconds
MASTER_PORT = 29500


def at_start(command: str, status: int) -> Check:
    """Return a check that a command ends half a second after its start, while it imports."""

    def check(bench: Bench) -> str:
        with bench.started([command, *_needed(command)], f"--volume={bench.trained}:/opt/ml") as container:
            time.sleep(0.5)
            return _ends(container, status)

    return check


def in_optimise(bench: Bench) -> str:
    """Stop ``optimise`` while OpenVINO converts or measures, in C++."""
    base = bench.folder / "job"
    with bench.started(optimising(bench), f"--volume={base}:/opt/ml") as container:
        container.wait_for_log("tried ", 120)
        return _ends(container, STOPPED)


def while_it_waits_for_a_host(bench: Bench) -> str:
    """Stop the first of two hosts, which waits for the other in C++."""
    base = bench.training("waiting", 1, HOSTS)
    with bench.started(["train"], f"--volume={base}:/opt/ml", "--hostname", HOSTS[0]) as container:
        table = Path(f"/proc/{container.pid}/net/tcp")
        end = time.monotonic() + 60
        while not (listens(table.read_text(), MASTER_PORT) or listens(_of_ipv6(table), MASTER_PORT)):
            assert time.monotonic() < end, f"it does not listen on {MASTER_PORT}: {container.log()[-300:]}"
            time.sleep(0.1)
        return _ends(container, STOPPED)


def _of_ipv6(table: Path) -> str:
    other = table.with_name("tcp6")
    return other.read_text() if other.exists() else ""


def _needed(command: str) -> list[str]:
    """Return the arguments without which a command ends at once."""
    digest = "0" * 64
    return {"optimise": ["--trained", "0"], "evaluate": ["--candidate-sha256", digest]}.get(command, [])


def _ends(container: Container, status: int) -> str:
    pid, since = container.pid, time.monotonic()
    os.kill(pid, signal.SIGTERM)  # podman's own kill would take a part of the time
    while (took := time.monotonic() - since) < PATIENCE and Path(f"/proc/{pid}").exists():
        time.sleep(0.01)
    return f"{status_of(status, container.wait(5), container.log())} {in_time(took, LONGEST)}"
