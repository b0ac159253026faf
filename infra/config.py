"""The settings of a stage: typed, validated, and said once; cdk.json holds only what a stage does differently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydicom import uid

from infra import validation

# Without it batch transform starts GPU hosts with the NVIDIA driver 470, which no current CUDA runtime accepts.
GPU_HOST_AMI = "al2-ami-sagemaker-batch-gpu-535"


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
    max_work_seconds: int = 1500  # that the uploads of one job may take, if each takes as long as it can
    max_jobs_per_day: int = 1000  # in UTC

    # The transform job.
    instance_type: str = "ml.m5.xlarge"
    instance_count: int = 1
    max_concurrent_transforms: int = 4
    max_payload_mb: int = 16
    image_uri: str = ""  # empty: built from model_code/ at deployment
    torch_index_url: str = ""  # of the image that is built: PyTorch's index of CPU builds, or of builds for CUDA 12

    # What a retrained model is, and how good it must be to become the champion (fractions of 1).
    labels: tuple[str, ...] = ("normal", "cap", "covid")
    min_balanced_accuracy: float = 0.7
    min_sensitivity: float = 0.6  # of every class, as are specificity and AUC
    min_specificity: float = 0.6
    min_auc: float = 0.75
    max_calibration_error: float = 0.25
    champion_margin: float = 0.05  # how much worse than the champion a candidate may seem, by chance
    max_subgroup_drop: float = 0.25
    subgroup_min_patients: int = 5  # a smaller subgroup's figures say nothing
    max_acquisition_p_value: float = 0.01
    min_acquisition_gain: float = 0.1
    approval: str = "auto"  # manual: a person approves what passed the gate

    report_pictures: str = "if_no"  # of BurnedInAnnotation; unless_yes: also where it is absent; never
    quantise: bool = True  # a form in 8-bit integers may serve, where it is proved; otherwise fp32 only

    # The jobs of a retraining: training on the one kind of host; audit, optimisation and evaluation on the other.
    training_instance_type: str = "ml.m5.2xlarge"
    training_instance_count: int = 1
    training_volume_gb: int = 50  # of the processing hosts too: they read the same slices
    training_max_seconds: int = 86_400
    training_spot: bool = False
    training_max_wait_seconds: int = 172_800  # with spot hosts: the wait for them included
    processing_instance_type: str = "ml.m5.xlarge"
    processing_max_seconds: int = 14_400

    # How long patients' data stay, in days; 0: until `wetread erase`.
    uploads_kept_days: int = 0
    slices_kept_days: int = 0  # pinned copies of labelled slices, and what people label
    results_kept_days: int = 0  # result documents, and rows from their end on
    keys: str = "plain"  # hashed: rows hide the keys of objects, which a table with grants of its own keeps

    # Who read and changed what.
    audit_trail: bool = False
    audit_kept_days: int = 400  # nobody can shorten it for what is written already

    # When something goes wrong.
    max_attempts: int = 3
    stale_seconds: int = 180
    max_job_seconds: int = 3600
    oldest_pending_alarm_seconds: int = 3600
    alarm_email: str = ""  # empty: nobody is subscribed to the alarm topic
    log_level: str = "INFO"
    protect_data: bool = True  # deletion protection, and data that outlives the stack

    def __post_init__(self) -> None:
        problems = "; ".join(validation.problems(self))
        if problems:
            raise ConfigError(problems)

    @property
    def stack_name(self) -> str:
        """The stack's name: "Wetread" for the service "wetread", so that several stages fit in one account."""
        return self.service_name.title()

    @property
    def gpu(self) -> bool:
        """Whether the transform jobs run on GPUs."""
        return validation.family(self.instance_type) in validation.GPU_FAMILIES

    @property
    def transform_ami_version(self) -> str:
        """The host image of the transform jobs: one with a current driver for GPU instance types, otherwise ''."""
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
        key: tuple(value) if isinstance(value, list) else float(value) if hints[key] is float else value
        for key, value in overrides.items()
    }
    try:
        return StageConfig(**values)
    except ConfigError as error:
        raise ConfigError(f"Stage {name!r} in cdk.json: {error}.") from None


_EXPECTED: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    tuple[str, ...]: "a list of texts",
}


def _fits(value: object, kind: Any) -> bool:
    if kind == tuple[str, ...]:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if kind is float and type(value) is int:
        return True  # JSON writes 1.0 as 1 as well
    return type(value) is kind  # not isinstance: to Python, true is a whole number too
