"""Announces revisions of studies on EventBridge's default bus. An event has hashes, codes and numbers, and no UID."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from typing import Any

from functions.domain import layout
from functions.domain.errors import NotAnnounced
from functions.domain.member import Part
from functions.domain.study import Revision
from functions.names import EVENT_SOURCE

MOST_EVENTS = 10  # of one PutEvents


class Kind(enum.StrEnum):
    """The detail types of the events."""

    READ = "Study Read"
    REVISED = "Study Read Revised"
    WITHDRAWN = "Study Read Withdrawn"


class Announcements:
    """The events of one stage, which ``service`` names."""

    def __init__(self, client: Any, service: str, results_bucket: str) -> None:
        self._client = client
        self._service = service
        self._results_bucket = results_bucket

    def send(self, revisions: Sequence[Revision]) -> None:
        """Announce revisions of a study in their order; raise NotAnnounced if EventBridge does not take them all."""
        for start in range(0, len(revisions), MOST_EVENTS):
            entries: Any = [self._entry(one) for one in revisions[start : start + MOST_EVENTS]]
            answer = self._client.put_events(Entries=entries)
            if answer["FailedEntryCount"]:
                raise NotAnnounced(", ".join(sorted({one.get("ErrorCode", "") for one in answer["Entries"]} - {""})))

    def _entry(self, revision: Revision) -> dict[str, str]:
        study = layout.study_hash(revision.study_instance_uid)
        detail = {
            "Id": f"{study}-{revision.number:06d}",
            "Service": self._service,
            "Study": study,
            "Revision": revision.number,
            "ClosedAt": revision.created_at,
            "CloseReason": revision.close_reason,
            "Coverage": revision.coverage,
            "Class": revision.predicted_class,
            "Code": revision.code or None,
            "ModelPackage": revision.model_package or None,
            "ResultsBucket": self._results_bucket,
            "ResultKey": revision.result_key,
        }
        return {"Source": EVENT_SOURCE, "DetailType": _kind(revision), "Detail": json.dumps(detail)}


def _kind(revision: Revision) -> Kind:
    if revision.counts.get(Part.WITHDRAWN) and not revision.counts.get(Part.READ):
        return Kind.WITHDRAWN
    return Kind.READ if revision.number == 1 else Kind.REVISED
