"""The faults: each breaks something while uploads are under way, and describes what it did."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from assurance.fault_injection import faulty
from assurance.fault_injection.stage import Stage
from functions.domain.row import Status
from localcloud.home import home_of
from wetread.project import PROJECT

FUNCTIONS = ("ingest", "dispatch", "collect", "sweep")
KILLS = 12
BOMBS = 16
BURST = "burst"
STARTUP = "WETREAD_SAGEMAKER_STARTUP_SECONDS"
NEVER = "3600"
"""Seconds of a job's start that no fault lasts: a job with it is under way until the cloud is killed."""
TOO_SMALL = "size=2m"
"""A disk that is too small for any artifact."""


class Skipped(Exception):
    """The fault cannot be injected here; the message says why."""


@dataclass(frozen=True)
class Fault:
    """One fault. ``run`` breaks things for some uploads and returns them with what was seen.

    ``bombs`` of them, beside the good ones, must end as Failed.
    """

    name: str
    run: Callable[[Stage, int], tuple[dict[str, str], str]]
    bombs: int = 0


def kill_functions(stage: Stage, count: int) -> tuple[dict[str, str], str]:
    """Kill environments of all functions, again and again, while uploads come in and are read."""
    uploads = stage.upload(count)
    killed: dict[str, int] = dict.fromkeys(FUNCTIONS, 0)
    for turn in range(KILLS):
        function = FUNCTIONS[turn % len(FUNCTIONS)]
        for pid in stage.processes(f"functions.{function}.handler"):
            killed[function] += kill(pid)
        time.sleep(0.5)
    shown = ", ".join(f"{number} of {function}" for function, number in killed.items() if number)
    return uploads, f"environments killed: {shown or 'none was up'}"


def kill_container(stage: Stage, count: int) -> tuple[dict[str, str], str]:
    """Kill the model's container between two answers; it withholds the second, so the job cannot end before."""
    folder = _faulty_containers(stage)
    faulty.queue(folder, faulty.HALFWAY)
    uploads = _upload_until(stage, count, lambda: faulty.holding(folder))
    faulty.kill_holder(folder)
    return uploads, "killed in the middle of a job"


def kill_cloud(stage: Stage, count: int) -> tuple[dict[str, str], str]:
    """Kill the emulator, with a job that has just been created, and start it again.

    Wait until it has saved its state, as it does every few seconds: unlike AWS, it loses newer data when killed.
    """
    stage.restart(**{STARTUP: NEVER})
    uploads = stage.upload(count)
    stage.until(lambda: len(stage.rows(uploads)) == count and _any_batched(stage, uploads))
    moment = time.time()
    stage.until(lambda: min(file.stat().st_mtime for file in home_of(PROJECT).services.glob("*.json")) > moment)
    kill(stage.launcher)
    stage.start(**{STARTUP: "0"})
    return uploads, "killed with a job under way, and started again"


def fill_disk(stage: Stage, count: int) -> tuple[dict[str, str], str]:
    """Leave jobs no disk space for the artifact, until one has failed."""
    folder = home_of(PROJECT).scratch / "jobs"
    folder.mkdir(parents=True, exist_ok=True)
    mounted = ["mount", "-t", "tmpfs", "-o", TOO_SMALL, "tmpfs", str(folder)]
    done = subprocess.run(mounted, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped("no small disk can be mounted here: it needs root")
    try:
        uploads = stage.upload(count)
        failed = stage.until(lambda: _out_of_space(stage))
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    return uploads, f"a job failed ({failed}), then there was room again"


def misbehave(stage: Stage, count: int) -> tuple[dict[str, str], str]:
    """Start a container that crashes, then one that fails every third request, then a slow one, then good ones."""
    folder = _faulty_containers(stage)
    faulty.queue(folder, faulty.CRASH, faulty.FAIL, faulty.SLOW)
    uploads = _upload_until(stage, count, lambda: not faulty.waiting(folder))
    return uploads, "one crash at start, every third request of a job failed, a job at a second a request"


def bomb(stage: Stage, count: int) -> tuple[dict[str, str], str]:
    """Upload objects with endless answers: sixteen of them, read whole, exceed the memory of collect and sweep."""
    folder = _faulty_containers(stage) / faulty.BOMBS
    folder.mkdir(exist_ok=True)
    bombs = stage.phantoms(BOMBS)
    for body in bombs.values():
        (folder / hashlib.sha256(body).hexdigest()).touch()
    return stage.put_all(bombs) | stage.upload(count), f"{BOMBS} answers of 40 MiB, one request each"


def burst(stage: Stage, count: int) -> tuple[dict[str, str], str]:
    """Upload as fast as possible."""
    began = time.monotonic()
    uploads = stage.upload(count)
    return uploads, f"{count:,} uploads in {time.monotonic() - began:.0f} s"


FAULTS = {
    "functions": Fault("kill -9 of Lambda environments", kill_functions),
    "container": Fault("kill -9 of the container in a job", kill_container),
    "emulator": Fault("kill -9 of the emulator", kill_cloud),
    "disk": Fault("disk full under a job", fill_disk),
    "faulty": Fault("crashing, failing, then slow container", misbehave),
    BURST: Fault("burst of uploads", burst),
    "bombs": Fault("answers without an end", bomb, BOMBS),
}


def _faulty_containers(stage: Stage) -> Path:
    """Restart the cloud with containers that misbehave on demand; return the folder of their behaviours."""
    folder = home_of(PROJECT).root / "faulty"
    stage.restart(WETREAD_IMAGE_COMMAND=faulty.image_command(folder))
    return folder


def _upload_until(stage: Stage, count: int, happened: Callable[[], bool]) -> dict[str, str]:
    """Upload, and again when all uploads have ended and nothing happened: their jobs were too small for that."""
    uploads: dict[str, str] = {}
    while not happened():
        uploads.update(stage.upload(count))
        stage.until(lambda: happened() or _all_ended(stage, uploads))
    return uploads


def kill(pid: int) -> bool:
    """Kill a process; return whether it was there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _out_of_space(stage: Stage) -> str:
    """Return the reason of a job that failed for lack of disk space, or ""."""
    jobs = stage.connection.sagemaker.list_transform_jobs(StatusEquals="Failed")["TransformJobSummaries"]
    reasons = (job.get("FailureReason", "") for job in jobs)
    return next((reason.rsplit("] ", 1)[-1] for reason in reasons if "No space" in reason), "")


def _any_batched(stage: Stage, uploads: dict[str, str]) -> bool:
    return any(row.status is Status.BATCHED for row in stage.rows(uploads).values())


def _all_ended(stage: Stage, uploads: dict[str, str]) -> bool:
    rows = stage.rows(uploads)
    return len(rows) == len(uploads) and all(row.status.terminal for row in rows.values())
