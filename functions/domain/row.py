"""The Row: the index's record of one Upload, from its arrival to its result."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.domain import layout
from functions.domain.errors import RefusalCode

CONTENT_DIGITS = 12  # of a content's SHA-256, in log lines


class Status(enum.StrEnum):
    """The state of an Upload. Completed, Failed, Refused, Marker and Erased are terminal.

    Received: ingesting its object has failed so far and is retried. Most uploads never have this status. Marker: it is
    no object to read, but says what its study has (`functions.domain.marker`).
    """

    RECEIVED = "Received"
    PENDING = "Pending"
    BATCHED = "Batched"
    COMPLETED = "Completed"
    FAILED = "Failed"
    REFUSED = "Refused"
    MARKER = "Marker"
    ERASED = "Erased"

    @property
    def terminal(self) -> bool:
        """Whether no batch changes the row any further."""
        return self in {Status.COMPLETED, Status.FAILED, Status.REFUSED, Status.MARKER, Status.ERASED}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One Upload. Times are ISO 8601 UTC with milliseconds; TimingsMs in milliseconds; absent values are None or empty.

    ``attempt`` counts the jobs without a result; for a Received row, the failed tries to read its object.
    ``retry_group`` names the uploads that are retried together, apart from all others, after a failed job.
    ``collect_tries`` counts the tries to settle the row alone, each before it is made; ``collect_tried_at`` is the
    time of the last.
    ``lane`` is "express" where its batch runs or ran in that lane (`functions.domain.lane.lane_of`);
    ``transform_job_name`` is the name of the job, or of the run in the express lane.
    ``slice_position`` is in mm along the normal of the slice's plane. ``picture_type`` is what ImageType says where it
    is not `original`; ``quality_control`` is True for a picture of a phantom or of material.
    ``repairs`` says what was changed of the object's identity, ``notes`` what a person should know about its picture,
    ``prediction_notes`` what its model assumed of it or changed. ``synthetic`` is True if that model says that it has
    seen nothing but artificial slices.
    ``typicality`` says how unlike its model's training the object is; where the model abstained on it, the row has
    neither class nor probabilities. ``unsure`` is True where the two highest probabilities are nearly tied.
    ``withdrawn_at`` marks a result of a withdrawn model version, ``requeued_at`` an Upload that is read again.
    ``expires_at`` (seconds since 1970) is when DynamoDB may delete the row. An Erased row keeps its attributes until
    everything that they lead to is erased. Then it is a gravestone, which keeps only the hash ``upload_id`` for a
    while, so that a late or repeated event finds that the Upload existed.
    """

    upload_id: str
    key: str = ""
    version_id: str = ""
    size: int = 0
    received_at: str = ""
    updated_at: str
    status: Status
    sequencer: str = ""
    code: str | None = None
    reason: str | None = None
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    sop_class_uid: str | None = None
    modality: str | None = None
    transfer_syntax_uid: str | None = None
    rows: int | None = None
    columns: int | None = None
    instance_number: int | None = None
    acquisition_number: int | None = None
    slice_position: float | None = None
    picture_type: str | None = None
    quality_control: bool | None = None
    patient_hash: str | None = None
    repairs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    content_sha256: str | None = None
    attempt: int = 0
    retry_group: str | None = None
    collect_tries: int | None = None
    collect_tried_at: str | None = None
    batch_id: str | None = None
    transform_job_name: str | None = None
    lane: str | None = None
    model_package: str | None = None
    predicted_class: str | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    typicality: Mapping[str, Any] = field(default_factory=dict)
    unsure: bool | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    prediction_notes: tuple[str, ...] = ()
    synthetic: bool | None = None
    prediction_key: str | None = None
    completed_at: str | None = None
    withdrawn_at: str | None = None
    requeued_at: str | None = None
    expires_at: int | None = None

    @property
    def awaits_ingest(self) -> bool:
        """Whether a try to take the Upload in may still change the row: it is Received, or AWS held the tries up."""
        held_up = self.status == Status.REFUSED and self.code == RefusalCode.HELD_UP
        return self.status == Status.RECEIVED or held_up

    @property
    def abstained(self) -> bool:
        """Whether the model gave no class because the object is unlike its training."""
        return bool(self.typicality.get("Abstained"))

    @property
    def waits_since(self) -> str:
        """When the Upload began to wait for a result: its arrival, or the request to read it again."""
        return self.requeued_at or self.received_at

    @property
    def instance_name(self) -> str:
        """The name of the Upload's pinned copy, which is also its manifest entry."""
        return layout.instance_name(self.upload_id, self.requeued_at)

    @property
    def log_fields(self) -> dict[str, str]:
        """The fields by which log lines name the Upload: its id and, once known, the start of its content's SHA-256."""
        content = {"content_sha256": self.content_sha256[:CONTENT_DIGITS]} if self.content_sha256 else {}
        return {"upload_id": self.upload_id, **content}

    def to_json(self) -> dict[str, Any]:
        """Return the row under the names of the index and of DICOM, without absent values."""
        values = ((NAMES[f.name], getattr(self, f.name)) for f in dataclasses.fields(self))
        return {
            name: list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
            for name, value in values
            if value not in (None, (), {}, "")
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Row:
        """Read back what ``to_json`` wrote."""
        values = {f.name: document[NAMES[f.name]] for f in dataclasses.fields(cls) if NAMES[f.name] in document}
        values["status"] = Status(values["status"])
        values |= {name: tuple(values.get(name, ())) for name in ("repairs", "notes", "prediction_notes")}
        return cls(**values)


def _attribute_name(field_name: str) -> str:
    upper = {"uid": "UID", "sop": "SOP", "sha256": "SHA256"}
    return "".join(upper.get(word, word.capitalize()) for word in field_name.split("_"))


NAMES = {f.name: _attribute_name(f.name) for f in dataclasses.fields(Row)}
"""Field of a Row -> attribute of the index: the DICOM keyword where there is one."""


def expiry(now: datetime, days: int) -> int | None:
    """Return the ``expires_at`` of a row that ends ``now``; None for 0 days: the row is kept until it is erased."""
    return int((now + timedelta(days=days)).timestamp()) if days else None


def timestamp(moment: datetime) -> str:
    """Return a moment in the format of rows: ISO 8601, UTC, milliseconds, so that text order is time order."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def moment_of(text: str) -> datetime:
    """Return the moment that a row's timestamp names."""
    return datetime.fromisoformat(text)
