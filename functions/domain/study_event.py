"""The event of a study's revision: what other systems get to know of a read.

It has UIDs, codes and numbers, and says where the document is. It is made once, when the revision is made, and kept
with it until it is published: so it is the same each time.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.domain import layout

MOST_BYTES = 8000  # of a detail; PutEvents takes 256 KiB for an entry
MOST_SCORE_BYTES = 4000  # of the detail, for a model of very many classes


class StudyEventType(enum.StrEnum):
    """What has happened to a study."""

    READ = "Study Read"
    REVISED = "Study Read Revised"
    WITHDRAWN = "Study Read Withdrawn"  # and perhaps replaced, by the same revision


class Priority(enum.StrEnum):
    """How soon a person should look at the study, as the stage's setting `urgent_labels` says."""

    URGENT = "Urgent"
    ROUTINE = "Routine"


@dataclass(frozen=True, kw_only=True)
class StudyEvent:
    """One event, as it is published: its type, and its detail as JSON."""

    detail_type: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class StudyEvents:
    """Makes events. ``results_bucket`` has the documents; ``urgent_labels`` are the classes that cannot wait.

    ``fhir`` is whether each document has a bundle beside it.
    """

    results_bucket: str
    urgent_labels: tuple[str, ...] = ()
    fhir: bool = False

    def of(self, content: Mapping[str, Any], result_key: str) -> StudyEvent:
        """Return the event of a revision, from its document and the document's key."""
        number = content["Revision"]
        urgent = content["Class"] in self.urgent_labels
        detail: dict[str, Any] = {
            "EventId": event_id(result_key),
            "StudyInstanceUID": content["StudyInstanceUID"],
            "Revision": number,
            "Previous": number - 1 or None,
            "ClosedAt": content["ClosedAt"],
            "CloseReason": content["CloseReason"],
            "Coverage": content["Coverage"],
            "Class": content["Class"],
            "Code": content["Code"],
            "Scores": _scores(content["Scores"]),
            "Cautions": content["Cautions"],
            "Counts": content["Counts"],
            "Model": content["Model"],
            "Withdraws": content["Withdraws"] and content["Withdraws"]["Revision"],
            "Priority": Priority.URGENT if urgent else Priority.ROUTINE,
            "Result": layout.uri(self.results_bucket, result_key),
        }
        if self.fhir:
            detail["Fhir"] = layout.uri(self.results_bucket, layout.fhir_key(result_key))
        return StudyEvent(detail_type=_type(content), detail=json.dumps(detail))


def event_id(result_key: str) -> str:
    """Return the identity of a revision's event: by its document's key, which no other revision has."""
    return hashlib.sha256(result_key.encode()).hexdigest()[:32]


def _type(content: Mapping[str, Any]) -> StudyEventType:
    if content["Withdraws"]:
        return StudyEventType.WITHDRAWN
    return StudyEventType.READ if content["Revision"] == 1 else StudyEventType.REVISED


def _scores(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the highest scores, as many as fit."""
    kept: dict[str, float] = {}
    room = MOST_SCORE_BYTES
    for name, score in sorted(scores.items(), key=lambda one: -one[1]):
        room -= len(json.dumps({name: score}))
        if room < 0:
            break
        kept[name] = score
    return kept
