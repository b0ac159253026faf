"""The faults: each breaks something while uploads are under way, and says in words what it did."""

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
STORM = "storm"
STARTUP = "WETREAD_SAGEMAKER_STARTUP_SECONDS"
TOO_SMALL = "size=2m"
"""A disk on which no artifact has room."""


class Skipped(Exception):
    """The drill cannot be run here; the message says why."""


@dataclass(frozen=True)
class Drill:
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
            killed[function] += _kill(pid)
        time.sleep(0.5)
    told = ", ".join(f"{number} of {function}" for function, number in killed.items() if number)
    return uploads, f"environments killed: {told or 'none was up'}"


def kill_container(stage: Stage, count: int) -> tuple[dict[str, str], str]:
    """Kill the model's container between two answers: it holds the second back, so that its job cannot end before."""
    folder = _faulty_containers(stage)
    faulty.bid(folder, faulty.HALFWAY)
    uploads = stage.upload(count)
    stage.until(lambda: faulty.holding(folder))
    faulty.kill_holder(folder)
    return uploads, "killed in the middle of a job"


def kill_cloud(stage: Stage, count: int) -> tuple[dict[str, str], str]:
    """Kill the emulator, with a job that has just been created, and start it again.

    Not before it has saved its state, as it does every few seconds: what is younger dies with it, unlike on AWS.
    """
    stage.restart(**{STARTUP: "60"})
    uploads = stage.upload(count)
    stage.until(lambda: len(stage.rows(uploads)) == count and _any_batched(stage, uploads))
    moment = time.time()
    stage.until(lambda: min(file.stat().st_mtime for file in home_of(PROJECT).services.glob("*.json")) > moment)
    _kill(stage.launcher)
    stage.start(**{STARTUP: "0"})
    return uploads, "killed with a job under way, and started again"


def fill_disk(stage: Stage, count: int) -> tuple[dict[str, str], str]:
    """Leave jobs no room for the artifact, until one has failed for it."""
    folder = home_of(PROJECT).scratch / "jobs"
    folder.mkdir(parents=True, exist_ok=True)
    mounted = ["mount", "-t", "tmpfs", "-o", TOO_SMALL, "tmpfs", str(folder)]
    done = subprocess.run(mounted, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped("no small disk can be mounted here: that takes root")
    try:
        uploads = stage.upload(count)
        failed = stage.until(lambda: _want_of_room(stage))
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    return uploads, f"a job failed ({failed}), then there was room again"


def misbehave(stage: Stage, count: int) -> tuple[dict[str, str], str]:
    """A container that crashes at its start, then fails every third request, then is slow, then well."""
    folder = _faulty_containers(stage)
    faulty.bid(folder, faulty.CRASH, faulty.FAIL, faulty.SLOW)
    uploads = stage.upload(count)
    stage.until(lambda: not faulty.waiting(folder) or _all_ended(stage, uploads))
    return uploads, "one crash at start, every third request of a job failed, a job at a second a request"


def bomb(stage: Stage, count: int) -> tuple[dict[str, str], str]:
    """Objects whose answers have no end: sixteen of them, read whole, need more memory than collect and sweep have."""
    folder = _faulty_containers(stage) / faulty.BOMBS
    folder.mkdir(exist_ok=True)
    bombs = stage.phantoms(BOMBS)
    for body in bombs.values():
        (folder / hashlib.sha256(body).hexdigest()).touch()
    return stage.put_all(bombs) | stage.upload(count), f"{BOMBS} answers of 40 MiB, one request each"


def storm(stage: Stage, count: int) -> tuple[dict[str, str], str]:
    """Uploads as fast as they can be sent."""
    began = time.monotonic()
    uploads = stage.upload(count)
    return uploads, f"{count:,} uploads in {time.monotonic() - began:.0f} s"


DRILLS = {
    "functions": Drill("kill -9 of Lambda environments", kill_functions),
    "container": Drill("kill -9 of the container in a job", kill_container),
    "emulator": Drill("kill -9 of the emulator", kill_cloud),
    "disk": Drill("disk full under a job", fill_disk),
    "faulty": Drill("crashing, failing, then slow container", misbehave),
    STORM: Drill("storm of uploads", storm),
    "bombs": Drill("answers without an end", bomb, BOMBS),
}


def _faulty_containers(stage: Stage) -> Path:
    """Restart the cloud with containers that misbehave as they are bidden; return the folder of the bids."""
    folder = home_of(PROJECT).root / "faulty"
    stage.restart(WETREAD_IMAGE_COMMAND=faulty.image_command(folder))
    return folder


def _kill(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _want_of_room(stage: Stage) -> str:
    """The reason of a job that has failed for want of room, once there is one."""
    jobs = stage.connection.sagemaker.list_transform_jobs(StatusEquals="Failed")["TransformJobSummaries"]
    reasons = (job.get("FailureReason", "") for job in jobs)
    return next((reason.rsplit("] ", 1)[-1] for reason in reasons if "No space" in reason), "")


def _any_batched(stage: Stage, uploads: dict[str, str]) -> bool:
    return any(row.status is Status.BATCHED for row in stage.rows(uploads).values())


def _all_ended(stage: Stage, uploads: dict[str, str]) -> bool:
    return all(row.status is Status.COMPLETED for row in stage.rows(uploads).values())
