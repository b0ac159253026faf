"""Announces revisions of studies, and their DICOM results, on EventBridge's default bus.

An event has hashes, codes and numbers, and no UID.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from functions.domain import layout
from functions.domain.errors import NotAnnounced
from functions.domain.study import Revision
from functions.names import EVENT_SOURCE, StudyEvent

RESULTS_ID = "-results"  # ends the Id of what is announced of a revision's DICOM results


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
            self._put(self._entry(revision))

    def send_results(self, study_instance_uid: str, revision: int, keys: Mapping[str, str]) -> None:
        """Announce the DICOM results of a revision, their keys by kind; raise NotAnnounced as ``send``."""
        detail = {
            **self._about(study_instance_uid, revision, RESULTS_ID),
            "ResultsBucket": self._results_bucket,
            "Keys": [keys[kind] for kind in sorted(keys)],
        }
        self._put(_event(StudyEvent.RESULTS, detail))

    def _put(self, entry: Any) -> None:
        answer = self._client.put_events(Entries=[entry])
        if answer["FailedEntryCount"]:
            code = answer["Entries"][0].get("ErrorCode", "")
            raise NotAnnounced(f"EventBridge did not take an event of a study: {code}.")

    def _about(self, study_instance_uid: str, revision: int, what: str = "") -> dict[str, Any]:
        study = layout.study_hash(study_instance_uid)
        return {
            "Id": f"{study}-{revision:06d}{what}",
            "Service": self._service,
            "Study": study,
            "Revision": revision,
        }

    def _entry(self, revision: Revision) -> dict[str, str]:
        detail = {
            **self._about(revision.study_instance_uid, revision.number),
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
        return _event(_kind(revision), detail)


def _event(kind: StudyEvent, detail: Mapping[str, Any]) -> dict[str, str]:
    return {"Source": EVENT_SOURCE, "DetailType": kind, "Detail": json.dumps(detail)}


def _kind(revision: Revision) -> StudyEvent:
    if revision.withdraws:
        return StudyEvent.WITHDRAWN
    return StudyEvent.READ if revision.number == 1 else StudyEvent.REVISED
