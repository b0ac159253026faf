"""A study: whether more of it is awaited, and the revisions of its read; and when it closes.

A study is open from its first upload until it is quiet, its sender's marker is satisfied, or it has been open for too
long; all members must have ended then. A later upload, or a change of a row, opens it again. Each closing whose inputs
differ from the last revision's makes one more revision, which never changes.

===========  ==============================  ======  ==================  ========================================
of a study   event                           next    by                  condition
===========  ==============================  ======  ==================  ========================================
none, any    an upload, a marker             Open    ingest              none; Touches grows
any          a row that had ended changes    Open    rescore, sweep,     none; Touches grows
                                                     collect, erase
Closed       a row of it ended               Open    collect, sweep      Closed
Open         due, and a row has not ended    Open    sweep               put off: Open, Touches as read
Open         due, and read by two versions   Open    sweep               rows requeued first, then as a change
Open         due, and the inputs are new     Closed  sweep               Open, Touches as read; the revision is new
Open         due, and the inputs are known   Closed  sweep               Open, Touches as read
Open         open for too long               Open    sweep               Open, OpenedAt as read; the revision is new
===========  ==============================  ======  ==================  ========================================

Every change of a row comes first and the touch last. So a closing in between has either seen the change, or fails by
its condition, or is followed by another one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from functions.domain.ranges import Range
from functions.domain.row import moment_of, timestamp

SWEEP_SECONDS = 60  # between two sweeps
RETRY_SECONDS = 30  # until a study that cannot be closed yet is looked at again: by the next sweep, also an early one
MOST_ROUNDS = 2  # of reading again what another version than the champion has read


class State(enum.StrEnum):
    """Whether more of a study is awaited."""

    OPEN = "Open"
    CLOSED = "Closed"


class CloseReason(enum.StrEnum):
    """Why a study was closed: nothing came, all that its sender named is there, or it had been open for too long."""

    QUIET = "Quiet"
    MARKER = "Marker"
    FORCED = "Forced"


@dataclass(frozen=True, kw_only=True)
class Patience:
    """The stage's limits, in seconds: how long a study is quiet when it closes, and how long it may stay open."""

    study_quiet_seconds: Annotated[int, Range(1, 86_400)] = 300
    study_max_open_seconds: Annotated[int, Range(60, 604_800)] = 7200


@dataclass(frozen=True, kw_only=True)
class Study:
    """The state of one study; times are ISO 8601, "" where there is none.

    ``due_at`` is when the study is looked at next, ``quiet_until`` when it is quiet if nothing more arrives.
    ``touches`` counts the changes (a fence, not a count of uploads), ``erasures`` those by erasures. ``inputs`` is the
    digest of the last revision's inputs and ``result_key`` its document; ``announced`` is the last revision that was
    announced. ``marked_at`` is when a marker came that no
    closing has used. ``rounds`` counts how often uploads were read again so that one version reads all.
    ``tried_at`` is when the last closing began.
    """

    study_instance_uid: str
    state: State
    due_at: str = ""
    quiet_until: str = ""
    opened_at: str = ""
    touches: int = 0
    erasures: int = 0
    revision: int = 0
    inputs: str = ""
    result_key: str = ""
    announced: int = 0
    marked_at: str = ""
    rounds: int = 0
    tried_at: str = ""

    def is_quiet(self, now: datetime) -> bool:
        """Return whether nothing of the study has arrived for a while."""
        return self.quiet_until <= timestamp(now)

    def is_due(self, now: datetime) -> bool:
        """Return whether the study is to be looked at."""
        return self.state == State.OPEN and self.due_at <= timestamp(now)

    def cut_off(self, now: datetime, patience: Patience) -> str | None:
        """Return the time up to which uploads are taken, if the study has been open for too long."""
        if self.state != State.OPEN or not self.opened_at:
            return None
        latest = moment_of(self.opened_at) + timedelta(seconds=patience.study_max_open_seconds)
        return timestamp(latest) if latest <= now else None

    def later(self, now: datetime) -> str:
        """Return when the study is looked at again if it cannot be closed now; never earlier than it is due."""
        return max(self.due_at, timestamp(now + timedelta(seconds=RETRY_SECONDS)))


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One answer for a study, as the table has it; ``document`` is at ``result_key`` of the results bucket.

    ``fhir_key`` is where its FHIR bundle is, "" if it has none. ``withdraws`` is the revision whose answer it recalls,
    0 if it recalls none.
    """

    study_instance_uid: str
    number: int
    created_at: str
    close_reason: CloseReason
    coverage: str
    code: str
    model_package: str
    predicted_class: str | None
    scores: dict[str, float]
    counts: dict[str, int]
    inputs: str
    result_key: str
    fhir_key: str = ""
    withdraws: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the revision under the names of the table, without absent values."""
        document = {
            "StudyInstanceUID": self.study_instance_uid,
            "Revision": self.number,
            "CreatedAt": self.created_at,
            "CloseReason": self.close_reason,
            "Coverage": self.coverage,
            "Code": self.code,
            "ModelPackage": self.model_package,
            "Class": self.predicted_class,
            "Scores": self.scores,
            "Counts": self.counts,
            "Inputs": self.inputs,
            "ResultKey": self.result_key,
            "FhirKey": self.fhir_key,
            "Withdraws": self.withdraws,
        }
        return {name: value for name, value in document.items() if value not in ("", None, {}, 0)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Revision:
        """Read back what ``to_json`` wrote."""
        return cls(
            study_instance_uid=document["StudyInstanceUID"],
            number=document["Revision"],
            created_at=document["CreatedAt"],
            close_reason=CloseReason(document["CloseReason"]),
            coverage=document["Coverage"],
            code=document.get("Code", ""),
            model_package=document.get("ModelPackage", ""),
            predicted_class=document.get("Class"),
            scores=document.get("Scores", {}),
            counts=document.get("Counts", {}),
            inputs=document["Inputs"],
            result_key=document["ResultKey"],
            fhir_key=document.get("FhirKey", ""),
            withdraws=document.get("Withdraws", 0),
        )
