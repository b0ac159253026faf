"""The settings of a stage: typed, validated, declared once. cdk.json has only what a stage changes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from functions.settings import (
    ALL_PLANES,
    IMAGE_TYPES,
    MOST_FOLDS,
    AcquisitionLimits,
    OneOf,
    Patience,
    Placement,
    Range,
    SeriesRule,
    Served,
    SomeOf,
    Thresholds,
    assemble,
    bare,
    hints_of,
)
from infra import validation

# Without this image batch transform starts GPU hosts with NVIDIA driver 470, too old for current CUDA runtimes.
GPU_HOST_AMI = "al2-ami-sagemaker-batch-gpu-535"
LONGEST_KEPT_DAYS = 36_500
MOST_TRAINING_SECONDS = 2_419_200  # SageMaker's 28 days
MOST_PROCESSING_SECONDS = 777_600  # SageMaker's 9 days


class ConfigError(Exception):
    """The settings of a stage are wrong; the message names each problem with the wrong value and what is expected."""


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """Everything that may differ between deployments. The defaults suit production."""

    # Names the stack, the jobs, the model package group and the metrics' dimension: one per account and region.
    service_name: str = "wetread"

    # What is served.
    modalities: tuple[str, ...] = validation.MODALITIES
    sop_class_uids: tuple[str, ...] = validation.SOP_CLASSES
    transfer_syntax_uids: tuple[str, ...] = validation.TRANSFER_SYNTAXES
    conformance: Annotated[str, OneOf("strict", "repair")] = "repair"
    # Of CT objects. A model reads only what it was trained on, whatever a stage serves.
    planes: Annotated[tuple[str, ...], OneOf(*ALL_PLANES)] = ("axial",)
    image_types: Annotated[tuple[str, ...], OneOf(*IMAGE_TYPES)] = ("original", "derived")

    # Which slices count for the read of a study, and when a study is closed.
    series: SeriesRule = field(default_factory=SeriesRule)
    patience: Patience = field(default_factory=Patience)
    # Invocations of the sweep that close studies at once, when many are due; a new account runs ten of all functions.
    closers: Annotated[int, Range(1, 16)] = 4

    # The events of studies: the classes whose events have the priority Urgent.
    urgent_labels: tuple[str, ...] = ()
    # Where the events are sent, and the ARN of the secret that is the Authorization header; empty: nowhere.
    webhook_url: str = ""
    webhook_secret_arn: str = ""
    fhir_results: bool = False  # a FHIR R4 bundle beside each document of a study

    # Group commit: when a job starts, and how many run at once.
    tick_window_seconds: Annotated[int, Range(1, 300)] = 20  # SQS forgets a deduplication id after 5 minutes
    tick_delay_seconds: Annotated[int, Range(0, 900)] = 25
    slots: Annotated[int, Range(1, 100)] = 4
    max_batch: Annotated[int, Range(1, 10_000)] = 5000
    parallel_threshold: Annotated[int, Range(1, 1_000_000)] = 2500
    max_wait_seconds: Annotated[int, Range(1, 86_400)] = 240
    # The time that the uploads of one job may take if each takes its maximum.
    max_work_seconds: Annotated[int, Range(60, 400_000)] = 1500
    max_jobs_per_day: Annotated[int, Range(1, 1_000_000)] = 1000  # in UTC

    # The express lane: a function that reads few uploads within seconds, without a transform job.
    express: bool = False
    express_max: Annotated[int, Range(1, 2000)] = 600  # uploads of a batch
    # Batches at once; a new account runs ten functions at once, of all that it has.
    express_concurrency: Annotated[int, Range(1, 50)] = 4
    express_per_day: Annotated[int, Range(1, 1_000_000)] = 10_000  # batches, in UTC
    express_memory_mb: Annotated[int, Range(1024, 10_240)] = 3008  # a new account may not have more

    # The transform job.
    instance_type: str = "ml.m5.xlarge"
    instance_count: Annotated[int, Range(1, 100)] = 1
    max_concurrent_transforms: Annotated[int, Range(1, 100)] = 4
    max_payload_mb: Annotated[int, Range(1, 99)] = 16  # of an object
    image_uri: str = ""  # empty: built from model_code/ at deployment
    torch_index_url: str = ""  # of the image that is built: PyTorch's index of CPU builds, or of builds for CUDA 12

    # What a retrained model is, and how good it must be to become the champion.
    labels: tuple[str, ...] = ("normal", "cap", "covid")
    thresholds: Thresholds = field(default_factory=Thresholds)
    acquisition: AcquisitionLimits = field(default_factory=AcquisitionLimits)
    # 0: a test part. 3 to 10: every patient is tested once, by a model of the others; for few patients.
    folds: Annotated[int, Range(0, MOST_FOLDS)] = 0
    approval: Annotated[str, OneOf("auto", "manual")] = "auto"  # manual: a person approves what passed the gate
    # The pictures of a report, by the attribute BurnedInAnnotation; unless_yes: also where it is absent.
    report_pictures: Annotated[str, OneOf("if_no", "unless_yes", "never")] = "if_no"
    quantise: bool = True  # a backend with 8-bit integers may serve, where it is validated; otherwise fp32 only

    # The jobs of a retraining: training on one kind of host; audit, optimisation and evaluation on the other.
    training_instance_type: str = "ml.m5.2xlarge"
    training_instance_count: Annotated[int, Range(1, 100)] = 1
    training_volume_gb: Annotated[int, Range(1, 16_384)] = 50  # of the processing hosts too: they read the same slices
    training_max_seconds: Annotated[int, Range(60, MOST_TRAINING_SECONDS)] = 86_400
    training_spot: bool = False
    training_max_wait_seconds: Annotated[int, Range(60, MOST_TRAINING_SECONDS)] = (
        172_800  # on spot hosts, wait included
    )
    processing_instance_type: str = "ml.m5.xlarge"
    processing_max_seconds: Annotated[int, Range(60, MOST_PROCESSING_SECONDS)] = 14_400

    # How long patients' data stay, in days; 0: until `wetread erase`.
    uploads_kept_days: Annotated[int, Range(0, LONGEST_KEPT_DAYS)] = 0
    slices_kept_days: Annotated[int, Range(0, LONGEST_KEPT_DAYS)] = 0  # pinned slices, and what people label
    results_kept_days: Annotated[int, Range(0, LONGEST_KEPT_DAYS)] = 0  # result documents, and rows after their end
    # hashed: rows hide the keys of objects, which a separate table with its own grants keeps.
    keys: Annotated[str, OneOf("plain", "hashed")] = "plain"

    # DICOM results of studies, which have the patient's name, in the results bucket: which (empty: none), how long they
    # stay, who made them, the SeriesNumber of the first kind, and codes of classes ("VALUE SCHEME MEANING" by label).
    dicom_results: Annotated[tuple[str, ...], SomeOf("sr", "card", "keys", "heat")] = ()
    dicom_results_days: Annotated[int, Range(1, LONGEST_KEPT_DAYS)] = 30
    dicom_manufacturer: str = "wetread"
    series_number_base: Annotated[int, Range(1, 999_000)] = 9901
    label_codes: dict[str, str] = field(default_factory=dict)

    # The record of reads and changes.
    audit_trail: bool = False
    # Cannot be shortened for what is written, so a mistake cannot be taken back; HIPAA requires six years.
    audit_kept_days: Annotated[int, Range(1, 3_660)] = 400

    # Failures and alarms.
    max_attempts: Annotated[int, Range(1, 10)] = 3
    stale_seconds: Annotated[int, Range(60, 86_400)] = 180
    max_job_seconds: Annotated[int, Range(600, 432_000)] = 3600
    oldest_pending_alarm_seconds: Annotated[int, Range(60, 604_800)] = 3600
    alarm_email: str = ""  # empty: the alarm topic has no subscriber
    log_level: Annotated[str, OneOf("DEBUG", "INFO", "WARNING", "ERROR")] = "INFO"
    logs_kept_days: Annotated[int, Range(1, 3_653)] = 90  # one of validation.LOG_RETENTIONS
    protect_data: bool = True  # deletion protection, and data that outlives the stack

    # What the account demands, and what it has already.
    permissions_boundary: str = ""  # the ARN or name of a managed policy; empty: none
    tags: dict[str, str] = field(default_factory=dict)  # of every resource, also of jobs and Models
    subnet_ids: tuple[str, ...] = ()  # of functions and jobs; empty: no VPC
    security_group_ids: tuple[str, ...] = ()
    data_key_arn: str = ""  # empty: the stack makes a key
    uploads_bucket: str = ""  # the name of an existing one; empty: the stack makes a bucket
    uploads_key_arn: str = ""  # of the existing bucket, where it encrypts with KMS

    def __post_init__(self) -> None:
        problems = "; ".join(validation.problems(self))
        if problems:
            raise ConfigError(problems)

    @property
    def stack_name(self) -> str:
        """Return the stack's name: "Wetread" for the service "wetread", so that several stages fit in one account."""
        return self.service_name.title()

    @property
    def gpu(self) -> bool:
        """Return whether the transform jobs run on GPUs."""
        return validation.family(self.instance_type) in validation.GPU_FAMILIES

    @property
    def job_payload_mb(self) -> int:
        """Return MaxPayloadInMB of a job: one more than an object may have, so that one of just that size fits.

        SageMaker asks for a slightly larger value, and does not say whether its MB has 10^6 bytes or 2^20.
        """
        return self.max_payload_mb + 1

    @property
    def transform_ami_version(self) -> str:
        """Return the host image of the transform jobs: one with a current driver for GPU types, otherwise ''."""
        return GPU_HOST_AMI if self.gpu else ""

    @property
    def served(self) -> Served:
        """Return what uploads and labelled slices must be; an object must fit one request to the container."""
        return Served(
            sop_class_uids=self.sop_class_uids,
            modalities=self.modalities,
            transfer_syntax_uids=self.transfer_syntax_uids,
            max_object_bytes=self.max_payload_mb * 1024**2,
            conformance=self.conformance,
            planes=self.planes,
            image_types=self.image_types,
        )

    @property
    def placement(self) -> Placement:
        """Return the network and the tags of what the service makes in SageMaker."""
        return Placement(
            subnet_ids=self.subnet_ids,
            security_group_ids=self.security_group_ids,
            resource_tags=tuple(f"{key}={value}" for key, value in self.tags.items()),
        )


def load_stage(stages: object, name: str) -> StageConfig:
    """Return the settings of stage ``name``: the defaults, with the changes of ``stages`` (cdk.json).

    Raise a ConfigError that lists an unknown stage, every unknown setting, wrong type and wrong value.
    """
    if not isinstance(stages, Mapping) or name not in stages:
        known = ", ".join(stages) if isinstance(stages, Mapping) else "none"
        raise ConfigError(
            f"Stage {name!r} is not among the stages of cdk.json ({known}). Name one of these, or add it there."
        )
    overrides = stages[name]
    types = {key: bare(hint) for key, hint in hints_of(StageConfig).items()}
    if not isinstance(overrides, Mapping):
        raise ConfigError(f"Stage {name!r} in cdk.json is {overrides!r}: an object of settings is expected.")
    problems = [
        _unknown(key, types) if key not in types else f"{key} is {value!r}: {_EXPECTED[types[key]]} is expected"
        for key, value in overrides.items()
        if key not in types or not _fits(value, types[key])
    ]
    if problems:
        raise ConfigError(f"Stage {name!r} in cdk.json: {'; '.join(problems)}.")
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else float(value) if types[key] is float else value
        for key, value in overrides.items()
    }
    try:
        return assemble(StageConfig, values)
    except ConfigError as error:
        raise ConfigError(f"Stage {name!r} in cdk.json: {error}.") from None


def _unknown(key: str, types: Mapping[str, Any]) -> str:
    """Return what to say of a key that is no setting: the settings that look like it, or else all of them."""
    near = difflib.get_close_matches(key, types)
    return f"{key} is no setting ({'did you mean' if near else 'there are:'} {', '.join(near or types)})"


_EXPECTED: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    tuple[str, ...]: "a list of texts",
    dict[str, str]: 'an object of texts, {"KEY": "VALUE"},',
}


def _fits(value: object, kind: Any) -> bool:
    if kind == tuple[str, ...]:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if kind == dict[str, str]:
        return isinstance(value, Mapping) and all(isinstance(one, str) for one in value.values())
    if kind is float and type(value) is int:
        return True  # JSON writes 1.0 as 1 as well
    return type(value) is kind  # not isinstance: in Python, true is a whole number too
