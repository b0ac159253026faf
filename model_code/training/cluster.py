"""Starts one worker process per GPU on each host of a training job, or one per host without GPUs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, launch_agent

from model_code.errors import TrainingError

MASTER_PORT = "MASTER_PORT"
DEFAULT_PORT = "29500"
# How long the first host waits for the others; SageMaker starts them at about the same time.
START_SECONDS = 900


@dataclass(frozen=True)
class Cluster:
    """This host and all hosts of a job; ``interface``: the network between them, "" if SageMaker names none."""

    hosts: tuple[str, ...]
    current: str
    interface: str

    @classmethod
    def read(cls, resource_config: Path) -> Cluster:
        """Read SageMaker's resourceconfig.json; without it this host is alone. Raises TrainingError if malformed."""
        if not resource_config.is_file():
            return cls(("localhost",), "localhost", "")
        try:
            document = json.loads(resource_config.read_text(encoding="utf-8"))
            hosts, current = tuple(map(str, document["hosts"])), str(document["current_host"])
            if current not in hosts:
                raise ValueError(f"the current_host {current!r} is not one of {', '.join(hosts)}")
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"{resource_config.name} cannot be read: {type(error).__name__} {error}.") from error
        return cls(hosts, current, str(document.get("network_interface_name") or ""))

    @property
    def local_workers(self) -> int:
        """The number of workers on each host; SageMaker's hosts are all alike."""
        return max(1, torch.cuda.device_count())

    @property
    def workers(self) -> int:
        """The number of workers that train together."""
        return len(self.hosts) * self.local_workers

    def launch(self, command: list[str], failure: Path, environ: MutableMapping[str, str]) -> None:
        """Run ``command`` with this Python once per worker of this host, and wait for all of them.

        The workers get torchrun's variables; MASTER_PORT, if set, is the port on the first host to which all connect.
        Raises TrainingError with the text that a failed worker wrote to ``failure``, and SystemExit on SIGTERM, which
        the workers get too.
        """
        environ.update(self._variables(environ))
        config = LaunchConfig(
            min_nodes=len(self.hosts),
            max_nodes=len(self.hosts),
            nproc_per_node=self.local_workers,
            run_id="train",
            rdzv_backend="static",
            rdzv_endpoint=f"{self.hosts[0]}:{environ.get(MASTER_PORT, DEFAULT_PORT)}",
            rdzv_configs={"rank": self.hosts.index(self.current), "timeout": START_SECONDS},
            local_addr=self.current,
            max_restarts=0,
        )
        try:
            launch_agent(config, sys.executable, command)
        except ChildFailedError as error:
            rank, first = error.get_first_failure()
            reason = failure.read_text(encoding="utf-8") if failure.is_file() else f"it ended with {first.exitcode}"
            raise TrainingError(f"Worker {rank} of {self.workers} failed: {reason}") from None
        except SignalException as stopped:
            raise SystemExit(128 + stopped.sigval) from None

    def _variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        threads = max(1, len(os.sched_getaffinity(0)) // self.local_workers)
        variables = {"OMP_NUM_THREADS": environ.get("OMP_NUM_THREADS", str(threads))}
        if self.interface:
            variables |= {"GLOO_SOCKET_IFNAME": self.interface, "NCCL_SOCKET_IFNAME": self.interface}
        return variables
