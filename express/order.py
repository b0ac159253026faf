"""What dispatch asks of an invocation: which objects, where their answers go, and by which model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Order:
    """One batch: keys of the work bucket, and the URI and the SHA-256 (hex) of the model's artifact.

    ``invocation`` is Lambda's id of the invocation that has the order: an order may come twice.
    """

    job: str
    invocation: str
    bucket: str
    manifest: str
    begun: str
    ended: str
    outputs: str
    artifact: str
    artifact_sha256: str

    @classmethod
    def of(cls, event: Mapping[str, Any], invocation: str) -> Order:
        """Read an invocation's event; raise KeyError for a missing field."""
        return cls(
            job=event["Job"],
            invocation=invocation,
            bucket=event["Bucket"],
            manifest=event["Manifest"],
            begun=event["Begun"],
            ended=event["Ended"],
            outputs=event["Outputs"],
            artifact=event["Artifact"],
            artifact_sha256=event["ArtifactSHA256"],
        )
