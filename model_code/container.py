"""The folders and variables that SageMaker gives a container; ``SAGEMAKER_BASE_DIR`` moves /opt/ml elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

MEBIBYTE = 1024 * 1024
DEFAULT_PAYLOAD_MB = 6
# Twice as many requests as threads are in flight, and a decoder that hangs is ended after a minute.
DEFAULT_ANSWER_SECONDS = 120
# Batch transform refuses jobs if concurrency times payload exceeds this.
MAX_JOB_PAYLOAD_MB = 100

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Processing:
    """The paths of /opt/ml/processing: inputs and outputs of the workflow's processing jobs."""

    base: Path

    @property
    def snapshot(self) -> Path:
        """The snapshot/1 document."""
        return self.base / "input" / "snapshot" / "snapshot.json"

    @property
    def slices(self) -> Path:
        """The folder of the snapshot's DICOM objects."""
        return self.base / "input" / "slices"

    @property
    def candidate(self) -> Path:
        """The model.tar.gz of the run's training job."""
        return self.base / "input" / "candidate" / "model.tar.gz"

    @property
    def champion(self) -> Path:
        """The model.tar.gz that is in use; absent before the first promotion."""
        return self.base / "input" / "champion" / "model.tar.gz"

    @property
    def champion_snapshot(self) -> Path:
        """The snapshot that the champion was trained on; absent where that is not known."""
        return self.base / "input" / "champion-snapshot" / "snapshot.json"

    @property
    def reference(self) -> Path:
        """The model.tar.gz of the best champion so far; absent where the champion is that."""
        return self.base / "input" / "reference" / "model.tar.gz"

    @property
    def reference_snapshot(self) -> Path:
        """The snapshot that the reference was trained on; absent where that is not known."""
        return self.base / "input" / "reference-snapshot" / "snapshot.json"

    @property
    def optimised(self) -> Path:
        """The candidate that ``optimise`` writes again, with the backends that may serve."""
        return self.base / "output" / "optimised" / "model.tar.gz"

    @property
    def audit(self) -> Path:
        """The audit/2 document that ``audit`` writes, with report.html beside it."""
        return self.base / "output" / "audit" / "audit.json"

    @property
    def evaluation(self) -> Path:
        """The folder to which ``evaluate`` writes evaluation.json and report.html."""
        return self.base / "output" / "evaluation"


@dataclass(frozen=True)
class Container:
    """The paths of /opt/ml."""

    base: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Container:
        """Return the paths below SAGEMAKER_BASE_DIR, by default /opt/ml."""
        return cls(Path(environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")))

    @property
    def model_dir(self) -> Path:
        """The folder of the extracted model that ``serve`` loads and ``train`` writes."""
        return self.base / "model"

    @property
    def hyperparameters(self) -> Path:
        """A JSON object in which all values are strings."""
        return self.base / "input" / "config" / "hyperparameters.json"

    @property
    def resource_config(self) -> Path:
        """The hosts of a training job, as JSON."""
        return self.base / "input" / "config" / "resourceconfig.json"

    @property
    def slices_channel(self) -> Path:
        """The pinned DICOM objects of the channel named ``slices``."""
        return self.base / "input" / "data" / "slices"

    @property
    def snapshot_channel(self) -> Path:
        """The snapshot/1 document of the channel named ``snapshot``."""
        return self.base / "input" / "data" / "snapshot" / "snapshot.json"

    @property
    def initial_weights(self) -> Path:
        """The file of the channel named ``initial-weights``, which only a training has that starts from weights."""
        return self.base / "input" / "data" / "initial-weights" / "weights.pth"

    @property
    def code_channel(self) -> Path:
        """The changed model_code of the channel named ``code``, which only an experiment has."""
        return self.base / "input" / "data" / "code"

    @property
    def checkpoints(self) -> Path:
        """The folder that SageMaker saves while ``train`` runs and restores for an interrupted job."""
        return self.base / "checkpoints"

    @property
    def processing(self) -> Processing:
        """The folders of the commands ``audit``, ``optimise`` and ``evaluate``."""
        return Processing(self.base / "processing")

    @property
    def message(self) -> Path:
        """The file that SageMaker shows as a processing job's ExitMessage."""
        return self.base / "output" / "message"

    @property
    def failure(self) -> Path:
        """The file that SageMaker shows as the job's FailureReason."""
        return self.base / "output" / "failure"


@dataclass(frozen=True)
class Binding:
    """Where ``serve`` listens, the largest request body it takes, in MiB, and the longest that an answer may take.

    A ``socket`` is the path of a Unix socket and takes the place of host and port: on a machine with other users it
    can lie in a folder that they may not enter, where a port is open to all of them.
    """

    host: str
    port: int
    socket: str | None
    max_payload_mb: int
    answer_seconds: float

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Binding:
        """Read SageMaker's variables and WETREAD_BIND_TO_SOCKET; raises ValueError for an invalid number."""
        payload = _number(int, environ, "SAGEMAKER_MAX_PAYLOAD_IN_MB", DEFAULT_PAYLOAD_MB, (0, 1024))
        return cls(
            # A container is reached from outside it, so it listens on every address unless configured.
            host=environ.get("SAGEMAKER_BIND_TO_HOST", "0.0.0.0"),  # noqa: S104
            port=_number(int, environ, "SAGEMAKER_BIND_TO_PORT", 8080, (1, 65_535)),
            socket=environ.get("WETREAD_BIND_TO_SOCKET"),
            # 0 asks batch transform to stream without its own limit; ours stays.
            max_payload_mb=payload or MAX_JOB_PAYLOAD_MB,
            # The name that AWS's own toolkits have for it.
            answer_seconds=_number(
                float, environ, "SAGEMAKER_MODEL_SERVER_TIMEOUT", DEFAULT_ANSWER_SECONDS, (0, 86_400)
            ),
        )


def _number(
    kind: type[Number], environ: Mapping[str, str], name: str, default: Number, bounds: tuple[int, int]
) -> Number:
    """Return the number of a variable; raises ValueError with its name, its value and what is expected."""
    text = environ.get(name)
    lowest, highest = bounds
    try:
        value = default if text is None else kind(text)
        if not lowest <= value <= highest:
            raise ValueError
    except ValueError:
        called = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name} is {text!r}: {called} from {lowest} to {highest} is expected.") from None
    return value
