"""Faults of the express lane: its function is killed, held, too small, throttled, or given an object that kills.

What a run leaves without an answer is read by a transform job. So is an object that ends the model's process in the
function: it harms no neighbour there, and is Completed if it does not end that process in the job too.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assurance.fault_injection.faults import Fault, kill
from assurance.fault_injection.poison.sitecustomize import MEGABYTES, OBJECTS
from assurance.fault_injection.stage import Stage
from benchmarks.memory import descendants
from functions.domain.lane import Lane
from functions.names import EXPRESS, OUTPUTS
from localcloud.home import home_of
from tests import express_lane
from wetread.project import PROJECT

FUNCTION, MODEL = "express.handler", "model_code answer"
POISON = Path(__file__).parent / "poison"
POISONED = 2
LEAST_MEGABYTES = 128
HELD_SECONDS = 60
"""Lambda's limit of a run that is held: its last object must be begun half a minute before that."""
Uploads = dict[str, str]


def kill_run(stage: Stage, count: int) -> tuple[Uploads, str]:
    """Kill the function's process in the middle of a run, whose last object has stopped the model's process."""
    with _lane(stage, **_poisoned(stage)):
        uploads, run = _hold(stage, count)
        answered = len(_keys(stage, f"{OUTPUTS}{run}/"))
        for function in stage.processes(FUNCTION):
            for pid in (function, *descendants(function, MODEL)):
                kill(pid)
        _await_the_lane(stage, uploads)
    return uploads, f"killed when {answered} of {len(uploads)} had an answer"


def hold_run(stage: Stage, count: int) -> tuple[Uploads, str]:
    """Stop the model's process in the middle of a run, which so ends at Lambda's time limit."""
    with _lane(stage, Timeout=HELD_SECONDS, **_poisoned(stage)):
        uploads, run = _hold(stage, count)
        stage.until(lambda: _keys(stage, f"{EXPRESS}{run}/ended.json"))
        _await_the_lane(stage, uploads)
    return uploads, f"the model's process stopped until the limit, {HELD_SECONDS} s"


def starve_run(stage: Stage, count: int) -> tuple[Uploads, str]:
    """Let the function's process take more memory than it has."""
    with _lane(stage, MemorySize=LEAST_MEGABYTES, **_poisoned(stage, **{MEGABYTES: str(LEAST_MEGABYTES)})):
        uploads = _through_the_lane(stage, stage.phantoms(count))
    return uploads, f"it took more than its {LEAST_MEGABYTES} MB"


def throttle_runs(stage: Stage, count: int) -> tuple[Uploads, str]:
    """Leave the function no room: Lambda takes each order and drops it."""
    functions, name = stage.connection.client("lambda"), _function(stage)["FunctionName"]
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        with _lane(stage):
            uploads = _through_the_lane(stage, stage.phantoms(count))
    finally:
        functions.delete_function_concurrency(FunctionName=name)
    return uploads, "no environment, so that Lambda drops what it is asked"


def poison_run(stage: Stage, count: int) -> tuple[Uploads, str]:
    """Upload objects that end the model's process in the function, each time."""
    with _lane(stage, **_poisoned(stage)):
        killers = stage.phantoms(POISONED)
        _poison(killers, signal.SIGKILL)
        uploads = _through_the_lane(stage, killers | stage.phantoms(count))
    return uploads, f"{POISONED} objects each end the model's process"


EXPRESS_FAULTS = {
    "run": Fault("kill -9 of the express function in a run", kill_run),
    "held": Fault("express function out of time", hold_run),
    "starved": Fault("express function out of memory", starve_run),
    "throttled": Fault("express function throttled", throttle_runs),
    "poison": Fault("object that kills, express lane", poison_run),
}


@contextmanager
def _lane(stage: Stage, **settings: Any) -> Iterator[None]:
    """Read in the express lane, with other settings of its function, and then no longer."""
    functions, now = stage.connection.client("lambda"), _function(stage)
    functions.update_function_configuration(FunctionName=now["FunctionName"], **settings)
    express_lane.switch(stage.connection, on=True)
    try:
        yield
    finally:
        express_lane.switch(stage.connection, on=False)
        before = {name: now[name] for name in settings}
        functions.update_function_configuration(FunctionName=now["FunctionName"], **before)


def _poisoned(stage: Stage, **variables: str) -> dict[str, Any]:
    """Return settings of the function with which its model's process obeys the objects of ``_poison``."""
    search = os.pathsep.join(map(str, (POISON, PROJECT.folder, home_of(PROJECT).scratch / "lambda/runtime")))
    own = _function(stage)["Environment"]["Variables"]
    return {"Environment": {"Variables": own | {"PYTHONPATH": search, OBJECTS: str(_folder())} | variables}}


def _poison(bodies: Mapping[str, bytes], number: signal.Signals) -> None:
    """Let each process of a model that reads one of these objects get a signal."""
    for body in bodies.values():
        (_folder() / hashlib.sha256(body).hexdigest()).write_text(number.name)


def _folder() -> Path:
    folder = home_of(PROJECT).root / "poisoned"
    folder.mkdir(exist_ok=True)
    return folder


def _hold(stage: Stage, count: int) -> tuple[Uploads, str]:
    """Upload so many, and one that stops the model's process; return them, and the run that is so held."""
    before, last = _runs(stage), stage.phantoms(1)
    _poison(last, signal.SIGSTOP)
    uploads = stage.put_all(stage.phantoms(count) | last)
    stage.until(lambda: any(map(_is_stopped, stage.processes(MODEL))))
    (run,) = (run for run in _runs(stage) - before if not _keys(stage, f"{EXPRESS}{run}/ended.json"))
    return uploads, run


def _is_stopped(pid: int) -> bool:
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.startswith("T")


def _through_the_lane(stage: Stage, bodies: Mapping[str, bytes]) -> Uploads:
    """Upload, and wait until a run has begun, or was called off, and no upload is in the lane any more."""
    before, uploads = _runs(stage), stage.put_all(bodies)
    stage.until(lambda: _runs(stage) - before)
    _await_the_lane(stage, uploads)
    return uploads


def _runs(stage: Stage) -> set[str]:
    return {key.split("/")[1] for key in _keys(stage, EXPRESS)}


def _keys(stage: Stage, prefix: str) -> set[str]:
    bucket = stage.connection.deployment.work_bucket_name
    answer = stage.connection.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return {entry["Key"] for entry in answer.get("Contents", [])}


def _await_the_lane(stage: Stage, uploads: Uploads) -> None:
    """Wait until no upload is in the lane any more: it has ended, or waits for a job."""
    stage.until(
        lambda: not any(row.lane == Lane.EXPRESS and not row.status.terminal for row in stage.rows(uploads).values())
    )


def _function(stage: Stage) -> dict[str, Any]:
    functions: list[dict[str, Any]] = stage.connection.client("lambda").list_functions()["Functions"]
    return next(one for one in functions if one["PackageType"] == "Image")
