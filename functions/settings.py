"""The settings of every Lambda function, declared once.

CDK renders them to environment variables, and the function reads them back. A setting's variable is its field name in
upper case; lists are comma-separated.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

S = TypeVar("S")

METRIC_NAMESPACE = "Wetread"
NUMBERS: Mapping[Any, str] = {int: "a whole number", float: "a number"}


class Metric(enum.StrEnum):
    """Every metric that the functions emit and the alarms watch. Its only dimension is ``service``."""

    UPLOADS_ACCEPTED = "UploadsAccepted"
    UPLOADS_REFUSED = "UploadsRefused"
    UPLOADS_NOT_TAKEN = "UploadsNotTaken"
    UPLOADS_COMPLETED = "UploadsCompleted"
    UPLOADS_FAILED = "UploadsFailed"
    JOBS_SUBMITTED = "JobsSubmitted"
    JOBS_FAILED = "JobsFailed"
    PENDING = "Pending"
    OLDEST_PENDING_SECONDS = "OldestPendingSeconds"
    SLOTS_BUSY = "SlotsBusy"
    MODEL_MISSING = "ModelMissing"
    BUDGET_REACHED = "BudgetReached"
    SWEEP_REPAIRS = "SweepRepairs"
    CANDIDATES_PROMOTED = "CandidatesPromoted"
    CANDIDATES_REJECTED = "CandidatesRejected"
    APPROVALS_REFUSED = "ApprovalsRefused"


class SettingsError(Exception):
    """The environment of a function lacks settings or has unreadable ones; the message names all of them."""


@dataclass(frozen=True, kw_only=True)
class IngestSettings:
    """Settings of ``functions.ingest``."""

    index_table: str
    uploads_bucket: str
    work_bucket: str
    tick_queue_url: str
    tick_window_seconds: int
    patient_key_id: str
    sop_class_uids: tuple[str, ...]
    modalities: tuple[str, ...]
    transfer_syntax_uids: tuple[str, ...]
    max_object_bytes: int
    conformance: str
    results_kept_days: int
    hidden_keys_table: str  # empty where keys are plain
    data_key_arn: str


@dataclass(frozen=True, kw_only=True)
class DispatchSettings:
    """Settings of ``functions.dispatch``."""

    index_table: str
    batches_table: str
    work_bucket: str
    models_bucket: str
    job_name_prefix: str
    slots: int
    max_batch: int
    parallel_threshold: int
    max_wait_seconds: int
    max_work_seconds: int
    max_jobs_per_day: int
    instance_type: str
    instance_count: int
    max_concurrent_transforms: int
    max_payload_mb: int
    transform_ami_version: str
    data_key_arn: str
    volume_key_arn: str


@dataclass(frozen=True, kw_only=True)
class CollectSettings:
    """Settings of ``functions.collect``."""

    index_table: str
    batches_table: str
    work_bucket: str
    results_bucket: str
    tick_queue_url: str
    tick_window_seconds: int
    job_name_prefix: str
    max_attempts: int
    results_kept_days: int


@dataclass(frozen=True, kw_only=True)
class SweepSettings(CollectSettings, DispatchSettings):
    """Settings of ``functions.sweep``, which finishes what any other function left unfinished."""

    stale_seconds: int
    max_job_seconds: int


@dataclass(frozen=True, kw_only=True)
class SnapshotSettings:
    """Settings of ``functions.snapshot``. It admits what ``functions.ingest`` admits: see IngestSettings."""

    training_bucket: str
    models_bucket: str
    batches_table: str
    patient_key_id: str
    labels: tuple[str, ...]
    sop_class_uids: tuple[str, ...]
    modalities: tuple[str, ...]
    transfer_syntax_uids: tuple[str, ...]
    max_object_bytes: int
    conformance: str
    data_key_arn: str


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """Settings of ``functions.gate``: the thresholds of both gates, fractions of 1 unless their names say otherwise."""

    training_bucket: str
    min_balanced_accuracy: float
    min_sensitivity: float
    min_specificity: float
    min_auc: float
    max_calibration_error: float
    champion_margin: float
    max_acquisition_p_value: float
    min_acquisition_gain: float
    subgroup_min_patients: int
    max_subgroup_drop: float


@dataclass(frozen=True, kw_only=True)
class ApproveSettings:
    """Settings of ``functions.approve``."""

    models_bucket: str
    batches_table: str
    tick_queue_url: str
    tick_window_seconds: int
    model_package_group: str
    image_uri: str
    job_role_arn: str


@dataclass(frozen=True, kw_only=True)
class PromoteSettings(ApproveSettings):
    """Settings of ``functions.promote``. ``approval`` is ``auto`` or ``manual`` (a person approves)."""

    training_bucket: str
    approval: str


def to_environment(settings: Any) -> dict[str, str]:
    """Render a settings object to the environment variables of its function."""
    return {
        field.name.upper(): ",".join(value) if isinstance(value, tuple) else str(value)
        for field in dataclasses.fields(settings)
        for value in (getattr(settings, field.name),)
    }


def from_environment(kind: type[S], environ: Mapping[str, str]) -> S:
    """Read settings of ``kind`` back from ``environ``; raise one SettingsError that lists everything that is wrong."""
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        name = field.name.upper()
        text = environ.get(name)
        if text is None:
            problems.append(f"{name} is not set")
        elif hints[field.name] in NUMBERS:
            try:
                values[field.name] = _number(hints[field.name], text)
            except ValueError:
                problems.append(f"{name} is {text!r}, not {NUMBERS[hints[field.name]]}")
        elif hints[field.name] is str:
            values[field.name] = text
        else:
            values[field.name] = tuple(part for part in text.split(",") if part)
    if problems:
        raise SettingsError(f"{kind.__name__}: {'; '.join(problems)}. Deploy the stack again: it sets them all.")
    return kind(**values)


def _number(kind: Any, text: str) -> float:
    """Parse a finite number, or raise ValueError. NaN is rejected because every comparison with it is false."""
    number: float = kind(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
