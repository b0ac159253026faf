"""Makes the note by which archives hide DICOM results of a model version that was withdrawn.

A rollback marks the version's results, which opens its studies again. So each of them gets another revision, and with
that the note.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from functions.aws.champion import Champions
from functions.aws.deliveries import Deliveries
from functions.aws.objects import Documents
from functions.aws.studies import Studies
from functions.dicom_results.instances import Subject
from functions.dicom_results.making import Result, withdrawal_of
from functions.dicom_results.stage import REJECTION
from functions.domain.row import moment_of

SubjectOf = Callable[[Mapping[str, Any]], Subject]
"""Returns the input of the results of a document; raises NoResults."""


@dataclass(frozen=True, kw_only=True)
class Rejecting:
    """Finds delivered results that were withdrawn since."""

    studies: Studies
    deliveries: Deliveries
    champions: Champions
    results: Documents

    def reject(self, study_uid: str, number: int, subject_of: SubjectOf) -> tuple[Result | None, tuple[int, ...]]:
        """Return the note of revision ``number``, and the earlier revisions that it withdraws; None if there are none.

        An event that is repeated gives the same note again, also when later revisions were delivered since.
        Raise NoResults where the patient's attributes cannot be copied any more.
        """
        others = [one for one in self.deliveries.of_study(study_uid) if one.revision != number]
        delivered = {one.revision: one for one in others if one.revision < number}
        done = {revision for one in others for revision in one.rejects}
        void = [
            revision
            for revision, one in delivered.items()
            if revision not in done and set(one.keys) - {REJECTION} and self.is_void(study_uid, revision)
        ]
        document = self._newest(study_uid, void)
        if document is None:
            return None, ()
        subject = self._as_of(subject_of(document), study_uid, number)
        names = sorted({name for one in void for name in delivered[one].keys} - {REJECTION})
        return withdrawal_of(
            subject, {name: [one for one in void if name in delivered[one].keys] for name in names}
        ), tuple(void)

    def _as_of(self, subject: Subject, study_uid: str, number: int) -> Subject:
        """Return the input of the note: what is withdrawn, with the number and time of the revision that does so."""
        revision = self.studies.revision(study_uid, number)
        closed_at = moment_of(revision.created_at) if revision else subject.read.closed_at
        return replace(subject, read=replace(subject.read, revision=number, closed_at=closed_at))

    def is_void(self, study_uid: str, number: int) -> bool:
        """Return whether the version that read a revision is withdrawn."""
        revision = self.studies.revision(study_uid, number)
        return bool(revision and self.champions.withdrawal(revision.model_package))

    def _newest(self, study_uid: str, numbers: Sequence[int]) -> Mapping[str, Any] | None:
        """Return the document of the last of these revisions; None without one."""
        revision = self.studies.revision(study_uid, max(numbers)) if numbers else None
        body = self.results.find(revision.result_key) if revision else None
        document: Mapping[str, Any] | None = json.loads(body) if body else None
        return document
