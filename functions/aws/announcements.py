"""Announces revisions of studies on EventBridge's default bus. An event has hashes, codes and numbers, and no UID."""

from __future__ import annotations

import enum
import json
from collections.abc import Collection, Sequence
from typing import Any

from functions.domain import layout
from functions.domain.errors import NotAnnounced
from functions.domain.study import Revision
from functions.names import EVENT_SOURCE, StudyEvent


class Priority(enum.StrEnum):
    """How soon a person should look at a study, by its class and the stage's setting `urgent_labels`."""

    URGENT = "Urgent"
    ROUTINE = "Routine"


class Announcements:
    """The events of one stage, which ``service`` names; ``urgent_labels`` are the classes that cannot wait."""

    def __init__(self, client: Any, service: str, results_bucket: str, urgent_labels: Collection[str] = ()) -> None:
        self._client = client
        self._service = service
        self._results_bucket = results_bucket
        self._urgent_labels = frozenset(urgent_labels)

    def send(self, revisions: Sequence[Revision]) -> None:
        """Announce revisions of a study in their order; raise NotAnnounced if EventBridge does not take one.

        One at a time: of several in one request EventBridge may take the later one alone.
        """
        for revision in revisions:
            entry: Any = self._entry(revision)
            answer = self._client.put_events(Entries=[entry])
            if answer["FailedEntryCount"]:
                code = answer["Entries"][0].get("ErrorCode", "")
                raise NotAnnounced(f"EventBridge did not take an event of a study: {code}.")

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
            "FhirKey": revision.fhir_key or None,
            "Withdraws": revision.withdraws or None,
            "Priority": Priority.URGENT if revision.predicted_class in self._urgent_labels else Priority.ROUTINE,
        }
        return {"Source": EVENT_SOURCE, "DetailType": _kind(revision), "Detail": json.dumps(detail)}


def _kind(revision: Revision) -> StudyEvent:
    if revision.withdraws:
        return StudyEvent.WITHDRAWN
    return StudyEvent.READ if revision.number == 1 else StudyEvent.REVISED
