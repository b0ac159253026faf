"""The hosts that a stage's jobs use, as an output of the stack: compared with the account's quotas by the command line.

SageMaker has a quota for each instance type and kind of job, and many new accounts have 0 of them.
"""

from __future__ import annotations

from typing import Any

from infra.config import StageConfig


def job_hosts(config: StageConfig) -> list[dict[str, Any]]:
    """Return for each kind of job its name in quotas, its type of host, its hosts, and how many jobs run at once."""
    training = "spot training job" if config.training_spot else "training job"
    return [
        _hosts("transform job", config.instance_type, config.instance_count, config.slots),
        _hosts(training, config.training_instance_type, config.training_instance_count, 1),
        _hosts("processing job", config.processing_instance_type, 1, 1),
    ]


def _hosts(usage: str, instance_type: str, of_one: int, jobs: int) -> dict[str, Any]:
    return {"Usage": usage, "InstanceType": instance_type, "HostsOfOne": of_one, "Jobs": jobs}
