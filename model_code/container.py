"""The folders and variables that SageMaker gives a container; ``SAGEMAKER_BASE_DIR`` moves /opt/ml elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MEBIBYTE = 1024 * 1024
DEFAULT_PAYLOAD_MB = 6
# Batch transform refuses jobs whose concurrency times payload exceeds this.
MAX_JOB_PAYLOAD_MB = 100


@dataclass(frozen=True)
class Container:
    """The paths of /opt/ml."""

    base: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Container:
        """Read where /opt/ml is."""
        return cls(Path(environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")))

    @property
    def model_dir(self) -> Path:
        """Where ``serve`` finds the extracted model and ``train`` leaves one."""
        return self.base / "model"

    @property
    def hyperparameters(self) -> Path:
        """A JSON object whose values are all strings."""
        return self.base / "input" / "config" / "hyperparameters.json"

    @property
    def training_channel(self) -> Path:
        """The objects and manifest.json of the channel named ``training``."""
        return self.base / "input" / "data" / "training"

    @property
    def failure(self) -> Path:
        """The file whose text SageMaker shows as the job's FailureReason."""
        return self.base / "output" / "failure"


@dataclass(frozen=True)
class Binding:
    """Where ``serve`` listens, and the largest request body it takes, in MiB."""

    host: str
    port: int
    max_payload_mb: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Binding:
        """Read the variables of SageMaker; raise ValueError for a number that is none."""
        payload = int(environ.get("SAGEMAKER_MAX_PAYLOAD_IN_MB", DEFAULT_PAYLOAD_MB))
        return cls(
            # A container is reached from outside it, so it listens on every address unless told otherwise.
            host=environ.get("SAGEMAKER_BIND_TO_HOST", "0.0.0.0"),  # noqa: S104
            port=int(environ.get("SAGEMAKER_BIND_TO_PORT", "8080")),
            # 0 asks batch transform to stream without a limit of its own; ours stays.
            max_payload_mb=payload or MAX_JOB_PAYLOAD_MB,
        )
