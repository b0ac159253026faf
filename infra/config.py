"""The settings of a stage: typed, validated, and said once; cdk.json holds only what a stage does differently."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydicom import uid

CPU_FAMILIES = ("m4", "m5", "m6i", "m7i", "c4", "c5", "c6i", "c7i", "r6i", "r7i")
# Batch transform also offers p2, p3 (too old for the image's CUDA), trn1 and inf2 (no CUDA at all).
GPU_FAMILIES = ("g4dn", "g5", "g6", "g6e")
FAMILIES = CPU_FAMILIES + GPU_FAMILIES
# Without it batch transform starts GPU hosts with the NVIDIA driver 470, which no current CUDA runtime accepts.
GPU_HOST_AMI = "al2-ami-sagemaker-batch-gpu-535"
MAX_MB_IN_FLIGHT = 100  # SageMaker's limit on MaxConcurrentTransforms x MaxPayloadInMB
JOB_NAME_ROOM = 22  # of the 63 characters of a TransformJobName; the rest is for a hyphen and the batch id
CHOICES = {"conformance": ("strict", "repair"), "log_level": ("DEBUG", "INFO", "WARNING", "ERROR")}
RANGES = {
    "tick_window_seconds": (1, 300),  # SQS forgets a deduplication id after 5 minutes
    "tick_delay_seconds": (0, 900),
    "slots": (1, 100),
    "max_batch": (1, 10_000),
    "parallel_threshold": (1, 1_000_000),
    "max_wait_seconds": (1, 86_400),
    "instance_count": (1, 100),
    "max_concurrent_transforms": (1, 100),
    "max_payload_mb": (1, 100),
    "max_attempts": (1, 10),
    "stale_seconds": (60, 86_400),
    "max_job_seconds": (600, 432_000),
    "oldest_pending_alarm_seconds": (60, 604_800),
}


class ConfigError(Exception):
    """A stage is not set up as it must be; the message names every problem, the wrong value and what is expected."""


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """What may differ between two deployments. The defaults are the service as it should run in production."""

    # Names the stack, the jobs, the model package group and the metrics' dimension: one per account and region.
    service_name: str = "wetread"

    # What is served.
    modalities: tuple[str, ...] = ("CT",)
    sop_class_uids: tuple[str, ...] = (str(uid.CTImageStorage),)
    transfer_syntax_uids: tuple[str, ...] = tuple(
        map(
            str,
            (
                uid.ImplicitVRLittleEndian,
                uid.ExplicitVRLittleEndian,
                uid.DeflatedExplicitVRLittleEndian,
                uid.RLELossless,
                uid.JPEGBaseline8Bit,
                uid.JPEGLossless,
                uid.JPEGLosslessSV1,
                uid.JPEGLSLossless,
                uid.JPEGLSNearLossless,
                uid.JPEG2000Lossless,
                uid.JPEG2000,
                uid.HTJ2KLossless,
                uid.HTJ2KLosslessRPCL,
                uid.HTJ2K,
            ),
        )
    )
    conformance: str = "repair"

    # Group commit: when a job starts, and how many run at once.
    tick_window_seconds: int = 20
    tick_delay_seconds: int = 25
    slots: int = 4
    max_batch: int = 5000
    parallel_threshold: int = 2500
    max_wait_seconds: int = 240

    # The transform job.
    instance_type: str = "ml.m5.xlarge"
    instance_count: int = 1
    max_concurrent_transforms: int = 4
    max_payload_mb: int = 16
    image_uri: str = ""  # empty: built from model_code/ at deployment
    torch_index_url: str = ""  # of the image that is built: PyTorch's index of CPU builds, or of builds for CUDA 12

    # When something goes wrong.
    max_attempts: int = 3
    stale_seconds: int = 180
    max_job_seconds: int = 7200
    oldest_pending_alarm_seconds: int = 3600
    alarm_email: str = ""  # empty: nobody is subscribed to the alarm topic
    log_level: str = "INFO"
    protect_data: bool = True  # deletion protection, and data that outlives the stack

    def __post_init__(self) -> None:
        problems = [*self._out_of_range(), *self._malformed(), *self._contradictory()]
        if problems:
            raise ConfigError("; ".join(problems))

    def _out_of_range(self) -> Iterator[str]:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                yield f"{name} is {value}: {low} to {high} is expected"

    def _malformed(self) -> Iterator[str]:
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                yield f"{name} is {value!r}: one of {', '.join(choices)} is expected"
        for name in ("modalities", "sop_class_uids", "transfer_syntax_uids"):
            if not getattr(self, name):
                yield f"{name} is empty: then every upload would be refused"
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.service_name) or len(self.service_name) > JOB_NAME_ROOM:
            yield (
                f"service_name is {self.service_name!r}: at most {JOB_NAME_ROOM} lower case letters, digits and single "
                "hyphens are expected, because job names start with it and SageMaker lower-cases names in ARNs"
            )
        if not re.fullmatch(rf"ml\.({'|'.join(FAMILIES)})\.\w+", self.instance_type):
            yield (
                f"instance_type is {self.instance_type!r}: 'ml.<family>.<size>' is expected, with a family that batch "
                f"transform offers: {', '.join(FAMILIES)}"
            )
        if self.alarm_email and not re.fullmatch(r"[^@\s]+@[^@\s]+", self.alarm_email):
            yield f"alarm_email is {self.alarm_email!r}: an e-mail address is expected, or '' for none"

    def _contradictory(self) -> Iterator[str]:
        in_flight = self.max_concurrent_transforms * self.max_payload_mb
        if in_flight > MAX_MB_IN_FLIGHT:
            yield f"max_concurrent_transforms x max_payload_mb is {in_flight}: at most {MAX_MB_IN_FLIGHT} is allowed"
        if self.tick_delay_seconds <= self.tick_window_seconds:
            yield (
                f"tick_delay_seconds is {self.tick_delay_seconds}: more than tick_window_seconds "
                f"({self.tick_window_seconds}) is expected, or a tick is dropped as the duplicate of a delivered one"
            )

        if self.gpu and not (self.image_uri or self.torch_index_url):
            yield (
                f"instance_type is {self.instance_type!r} and torch_index_url is empty: PyTorch's index of builds for "
                "CUDA 12 is expected, since the GPU hosts' driver 535 does not run what pip takes by default"
            )

    @property
    def stack_name(self) -> str:
        """The stack's name: "Wetread" for the service "wetread", so that several stages fit in one account."""
        return self.service_name.title()

    @property
    def gpu(self) -> bool:
        """Whether the jobs run on GPUs."""
        return self.instance_type.split(".")[1] in GPU_FAMILIES

    @property
    def transform_ami_version(self) -> str:
        """The host image of the jobs: one with a current driver for GPU instance types, otherwise ''."""
        return GPU_HOST_AMI if self.gpu else ""

    @property
    def max_object_bytes(self) -> int:
        """The largest upload that is taken: what one request to the container may hold."""
        return self.max_payload_mb * 1024**2


def load_stage(stages: object, name: str) -> StageConfig:
    """The settings of stage ``name``: the defaults, and what ``stages`` (cdk.json) says it does differently.

    Raises ConfigError that lists every unknown stage, unknown setting, wrong type and wrong value.
    """
    if not isinstance(stages, Mapping) or name not in stages:
        known = ", ".join(stages) if isinstance(stages, Mapping) else "none"
        raise ConfigError(f"Stage {name!r} is not among the stages of cdk.json ({known}): use -c stage=<name>.")
    overrides = stages[name]
    hints = get_type_hints(StageConfig)
    if not isinstance(overrides, Mapping):
        raise ConfigError(f"Stage {name!r} in cdk.json is {overrides!r}: an object of settings is expected.")
    problems = [
        f"{key} is no setting (there are: {', '.join(hints)})"
        if key not in hints
        else f"{key} is {value!r}: {_EXPECTED[hints[key]]} is expected"
        for key, value in overrides.items()
        if key not in hints or not _fits(value, hints[key])
    ]
    if problems:
        raise ConfigError(f"Stage {name!r} in cdk.json: {'; '.join(problems)}.")
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in overrides.items()
    }
    try:
        return StageConfig(**values)
    except ConfigError as error:
        raise ConfigError(f"Stage {name!r} in cdk.json: {error}.") from None


_EXPECTED: dict[Any, str] = {
    int: "a whole number",
    bool: "true or false",
    str: "a text",
    tuple[str, ...]: "a list of texts",
}


def _fits(value: object, kind: Any) -> bool:
    if kind == tuple[str, ...]:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return type(value) is kind  # not isinstance: to Python, true is a whole number too
