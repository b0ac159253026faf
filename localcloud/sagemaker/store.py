"""The state of the service: records as Describe returns them, saved with the emulator's state."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

from localcloud.account import ACCOUNT_ID, REGION

Record = dict[str, Any]
_KINDS = (
    "models",
    "groups",
    "packages",
    "transform_jobs",
    "training_jobs",
    "processing_jobs",
    "endpoint_configs",
    "endpoints",
    "tags",
)


class Store:
    """Records by kind and name. Hold `lock` to read several or change one."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """Keep `changed`, which is called after a change without a request."""
        self.changed = changed
        self.lock = threading.RLock()
        self.models: dict[str, Record] = {}
        self.groups: dict[str, Record] = {}
        self.packages: dict[str, Record] = {}
        self.transform_jobs: dict[str, Record] = {}
        self.training_jobs: dict[str, Record] = {}
        self.processing_jobs: dict[str, Record] = {}
        self.endpoint_configs: dict[str, Record] = {}
        self.endpoints: dict[str, Record] = {}
        self.tags: dict[str, dict[str, str]] = {}

    def dump(self) -> Record:
        """Return a copy of all records, ready for JSON."""
        with self.lock:
            return {kind: copy.deepcopy(getattr(self, kind)) for kind in _KINDS}

    def load(self, saved: Record) -> None:
        """Replace all records with saved ones."""
        with self.lock:
            for kind in _KINDS:
                setattr(self, kind, saved.get(kind, {}))

    def tag(self, arn: str, tags: list[dict[str, str]]) -> None:
        """Add tags, in the API's format, to a resource."""
        with self.lock:
            self.tags.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in tags})


def resource_arn(resource: str, name: str) -> str:
    """Return the ARN of a SageMaker resource; names in ARNs are in lower case."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:{resource}/{name.lower()}"
