"""Step Functions with what the emulator lacks: SageMaker's jobs, the role's permissions, time limits, stopping."""

from __future__ import annotations

import functools

from localcloud.sagemaker.service import SageMaker
from localcloud.states import created
from localcloud.states.jobs import KINDS, JobTask
from localcloud.states.lifecycle import Lifecycle
from localcloud.states.tasks import Tasks


def install(sagemaker: SageMaker, endpoint: str) -> Lifecycle:
    """Install everything and return the life cycle of executions; close it before the services that tasks call."""
    tasks = {
        action: JobTask(kind, functools.partial(_status, sagemaker, kind.noun), endpoint)
        for action, kind in KINDS.items()
    }
    Tasks(tasks, endpoint).install()
    created.install()
    lifecycle = Lifecycle()
    lifecycle.install()
    return lifecycle


def _status(sagemaker: SageMaker, noun: str, name: str) -> str:
    status: str = sagemaker.perform(f"Describe{noun}", {f"{noun}Name": name})[f"{noun}Status"]
    return status
