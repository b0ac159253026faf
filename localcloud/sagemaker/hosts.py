"""The containers of a job, one on each of its hosts: watched to their end, and stopped together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from localcloud.containers.container_process import ContainerProcess
from localcloud.sagemaker.jobs import Job

GRACE_SECONDS = 120.0
"""The time that SageMaker gives a container between SIGTERM and SIGKILL."""


@dataclass(frozen=True)
class Ending:
    """How the containers of a job ended: the exit status of the first that failed, and the index of its host."""

    status: int
    host: int
    out_of_time: bool = False


def watch(job: Job, containers: Sequence[ContainerProcess], max_seconds: float) -> Ending:
    """Wait until all containers have ended or one has failed, end the others, and return how they ended.

    The containers of a job that is stopped, or runs longer than `max_seconds`, are ended with GRACE_SECONDS.
    """
    ended: queue.Queue[tuple[int, int]] = queue.Queue()
    for host, container in enumerate(containers):
        threading.Thread(target=_await_end, args=(host, container, ended), name="container-end", daemon=True).start()
    try:
        with job.stopped_by(lambda: _stop(containers, GRACE_SECONDS)):
            return _first_failure(containers, ended, time.monotonic() + max_seconds)
    finally:
        _stop(containers, grace=0)


def _first_failure(
    containers: Sequence[ContainerProcess], ended: queue.Queue[tuple[int, int]], deadline: float
) -> Ending:
    for _container in containers:
        try:
            host, status = ended.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            _stop(containers, GRACE_SECONDS)
            return Ending(status=0, host=0, out_of_time=True)
        if status != 0:
            return Ending(status, host)
    return Ending(status=0, host=0)


def _await_end(host: int, container: ContainerProcess, ended: queue.Queue[tuple[int, int]]) -> None:
    status = container.wait()
    # The status of a container that a signal ended is that of a shell: 128 and the signal.
    ended.put((host, status if status >= 0 else 128 - status))


def _stop(containers: Sequence[ContainerProcess], grace: float) -> None:
    with ThreadPoolExecutor(len(containers), thread_name_prefix="container-stop") as pool:
        list(pool.map(lambda container: container.stop(grace), containers))
