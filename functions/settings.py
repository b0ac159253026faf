"""The settings of every Lambda function, declared once.

CDK renders them to environment variables, and the function reads them back. A setting's variable is its field name in
upper case; lists are comma-separated. A field that is a dataclass of the domain is flattened into its own fields, so
the rules get their parameters as the stage states them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from functions.domain.batch import JobShape
from functions.domain.folds import FEWEST_FOLDS, MOST_FOLDS
from functions.domain.instance import Served
from functions.domain.lane import RUN_SECONDS, START_SECONDS, ExpressLimits
from functions.domain.leakage import AcquisitionLimits
from functions.domain.placement import Placement
from functions.domain.promotion import Thresholds
from functions.domain.ranges import OneOf, Range, SomeOf
from functions.domain.series import EXCLUDABLE, SeriesRule
from functions.domain.study import Patience
from untrusted.image_type import IMAGE_TYPES
from untrusted.picture import ALL_PLANES

# infra imports these names from here, and nothing else of functions but functions.names.
__all__ = [
    "ALL_PLANES",
    "EXCLUDABLE",
    "FEWEST_FOLDS",
    "IMAGE_TYPES",
    "MOST_FOLDS",
    "NUMBERS",
    "RUN_SECONDS",
    "START_SECONDS",
    "AcquisitionLimits",
    "ApproveSettings",
    "CollectSettings",
    "DeliverSettings",
    "DispatchSettings",
    "ExpressLimits",
    "GateSettings",
    "IngestSettings",
    "JobShape",
    "OneOf",
    "Patience",
    "Placement",
    "PromoteSettings",
    "Range",
    "SeriesRule",
    "Served",
    "SettingsError",
    "SnapshotSettings",
    "SomeOf",
    "SweepSettings",
    "Thresholds",
    "assemble",
    "bare",
    "from_environment",
    "hints_of",
    "to_environment",
    "values_of",
]

S = TypeVar("S")

NUMBERS: Mapping[Any, str] = {int: "a whole number", float: "a number"}
TRUTH: Mapping[str, bool] = {"True": True, "False": False}


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
    served: Served
    results_kept_days: int
    hidden_keys_table: str  # empty where keys are plain
    data_key_arn: str
    studies_table: str
    study_quiet_seconds: int


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
    shape: JobShape
    express: ExpressLimits
    express_function: str  # empty where the stage has no express lane


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
    studies_table: str


@dataclass(frozen=True, kw_only=True)
class SweepSettings(CollectSettings, DispatchSettings):
    """Settings of ``functions.sweep``, which finishes what other functions left unfinished."""

    stale_seconds: int
    max_job_seconds: int
    closers: int  # invocations that close studies at once
    patience: Patience
    series: SeriesRule
    uploads_bucket: str
    uploads_queue_name: str
    hidden_keys_table: str  # empty where keys are plain
    data_key_arn: str
    urgent_labels: tuple[str, ...]
    fhir_results: bool


@dataclass(frozen=True, kw_only=True)
class DeliverSettings:
    """Settings of ``functions.deliver``, which makes DICOM results. ``software`` is the version of wetread."""

    index_table: str
    batches_table: str
    studies_table: str
    results_bucket: str
    uploads_bucket: str
    results_kept_days: int
    hidden_keys_table: str  # empty where keys are plain
    data_key_arn: str
    service_name: str
    software: str
    dicom_results: tuple[str, ...]
    dicom_manufacturer: str
    series_number_base: int
    label_codes: tuple[str, ...]  # LABEL=VALUE SCHEME MEANING


@dataclass(frozen=True, kw_only=True)
class SnapshotSettings:
    """Settings of ``functions.snapshot``. It admits what ``functions.ingest`` admits."""

    training_bucket: str
    models_bucket: str
    batches_table: str
    patient_key_id: str
    labels: tuple[str, ...]
    folds: int  # 0: a test part instead
    served: Served
    data_key_arn: str


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """Settings of ``functions.gate``: the thresholds of both gates."""

    training_bucket: str
    batches_table: str
    thresholds: Thresholds
    acquisition: AcquisitionLimits


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
    placement: Placement


@dataclass(frozen=True, kw_only=True)
class PromoteSettings(ApproveSettings):
    """Settings of ``functions.promote``. ``approval`` is ``auto`` or ``manual`` (a person approves)."""

    training_bucket: str
    approval: str


def hints_of(kind: Any) -> dict[str, Any]:
    """Return the annotated type of every setting by name, with nested dataclasses flattened."""
    hints = get_type_hints(kind, include_extras=True)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        found |= hints_of(hint) if dataclasses.is_dataclass(hint) else {field.name: hint}
    return found


def values_of(settings: Any) -> dict[str, Any]:
    """Return the value of every setting by name, with nested dataclasses flattened."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        values |= values_of(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return values


def assemble(kind: type[S], values: Mapping[str, Any]) -> S:
    """Build a ``kind`` and its nested dataclasses from flat values; a setting without a value keeps its default."""
    hints = get_type_hints(kind)
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if dataclasses.is_dataclass(hints[field.name]):
            arguments[field.name] = assemble(hints[field.name], values)
        elif field.name in values:
            arguments[field.name] = values[field.name]
    return kind(**arguments)


def to_environment(settings: Any) -> dict[str, str]:
    """Return the environment variables that a function reads its settings from."""
    return {
        name.upper(): ",".join(value) if isinstance(value, tuple) else str(value)
        for name, value in values_of(settings).items()
    }


def from_environment(kind: type[S], environ: Mapping[str, str]) -> S:
    """Read settings of ``kind`` from ``environ``; raise one SettingsError that lists every problem."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting, hint in hints_of(kind).items():
        name, type_ = setting.upper(), bare(hint)
        text = environ.get(name)
        if text is None:
            problems.append(f"{name} is not set")
        elif type_ in NUMBERS:
            try:
                values[setting] = _number(type_, text)
            except ValueError:
                problems.append(f"{name} is {text!r}, not {NUMBERS[type_]}")
        elif type_ is bool:
            if text not in TRUTH:
                problems.append(f"{name} is {text!r}, not {' or '.join(TRUTH)}")
            values[setting] = TRUTH.get(text)
        elif type_ is str:
            values[setting] = text
        else:
            values[setting] = tuple(part for part in text.split(",") if part)
    if problems:
        raise SettingsError(f"{kind.__name__}: {'; '.join(problems)}. Deploy the stack again: it sets them all.")
    return assemble(kind, values)


def bare(hint: Any) -> Any:
    """Return the type of a setting without its annotations: ``int`` for ``Annotated[int, Range(1, 100)]``."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _number(kind: Any, text: str) -> float:
    """Parse a finite number, or raise ValueError. NaN is rejected because every comparison with it is false."""
    number: float = kind(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
