"""Makes the DICOM results of a study's revision: from its document, its rows, and one object's header.

A repeated delivery makes the same bytes under the same keys, and the first written stay. What was delivered once stays
delivered, since an archive may have it: the note that withdraws it is made by what is kept of it. Results are announced
last: if that fails, the message that asked for them comes again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydicom import Dataset

from functions.aws.announcements import Announcements
from functions.aws.deliveries import Deliveries, Delivery
from functions.aws.index import Index
from functions.aws.objects import Documents
from functions.aws.studies import Studies
from functions.dicom_results import documents, making
from functions.dicom_results.heat import MOST_PICTURES
from functions.dicom_results.instances import Subject
from functions.dicom_results.making import Result
from functions.dicom_results.reference import WANTED, reference_of
from functions.dicom_results.refused import NoResultsCode, no_results
from functions.dicom_results.stage import REJECTION, Kind, Stage, name_of_picture
from functions.domain import layout
from functions.domain.errors import NoResults, Refusal, RefusalCode
from functions.domain.row import Row
from functions.flow.originals import Originals
from functions.flow.picturing import Picturing
from functions.flow.rejecting import Rejecting

logger = logging.getLogger(__name__)

MOST_NUMBERS = 20  # series whose SeriesNumber is looked up, one header each
CONTENT_TYPE = "application/dicom"


@dataclass(frozen=True, kw_only=True)
class Delivering:
    """Delivers the revisions of one stage."""

    studies: Studies
    index: Index
    deliveries: Deliveries
    results: Documents
    originals: Originals
    rejecting: Rejecting
    announcements: Announcements
    stage: Stage
    kinds: tuple[Kind, ...]
    clock: Callable[[], datetime]

    def deliver(self, result_key: str) -> Delivery | None:
        """Make the results of the revision with this document; return what became of them.

        Returns None if there is no such revision any more: the study was erased.
        """
        body = self.results.find(result_key)
        document = json.loads(body) if body else {}
        study_uid, number = document.get("StudyInstanceUID", ""), document.get("Revision", 0)
        revision = self.studies.revision(study_uid, number) if body else None
        if revision is None or revision.result_key != result_key:
            return None
        delivered = next((one for one in self.deliveries.of_study(study_uid) if one.revision == number), None)
        if delivered is None or delivered.code:
            delivered = self._deliver(document)
        if documents.is_erased(self.index.get_many(documents.uploads(document))):
            # Meanwhile, and perhaps looked for before all was written: nothing is kept of it.
            delivered = _none(number, no_results(NoResultsCode.ROWS_GONE))
            self._forget(study_uid, number, REJECTION)
            self.deliveries.forget(study_uid, number)
        if delivered.keys:
            self.announcements.send_results(study_uid, number, delivered.keys)
        return delivered

    def _deliver(self, document: Mapping[str, Any]) -> Delivery:
        """Make and keep the results of a revision that has none yet, and the note that withdraws earlier ones."""
        study_uid, number = document["StudyInstanceUID"], document["Revision"]
        try:
            self._check_version(study_uid, number)
            delivery = self._make(document)
        except NoResults as refused:
            self._forget(study_uid, number)
            delivery = _none(number, refused)
            if refused.code == NoResultsCode.ROWS_GONE:
                return delivery
        delivery = self._with_rejection(study_uid, delivery)
        self.deliveries.keep(study_uid, delivery, self.clock())
        return delivery if delivery.code else self._unless_withdrawn(study_uid, delivery)

    def _unless_withdrawn(self, study_uid: str, delivery: Delivery) -> Delivery:
        """Take results back whose version was withdrawn meanwhile: the next revision's note may not name them."""
        try:
            self._check_version(study_uid, delivery.revision)
        except NoResults as refused:
            self._forget(study_uid, delivery.revision)
            rejection = {name: key for name, key in delivery.keys.items() if name == REJECTION}
            delivery = replace(_none(delivery.revision, refused), keys=rejection, rejects=delivery.rejects)
            self.deliveries.keep(study_uid, delivery, self.clock())
        return delivery

    def _check_version(self, study_uid: str, number: int) -> None:
        """Raise NoResults for a revision whose version is withdrawn: its event was late, or waited for a retry."""
        if self.rejecting.is_void(study_uid, number):
            raise no_results(NoResultsCode.WITHDRAWN)

    def _rows(self, document: Mapping[str, Any]) -> dict[str, Row]:
        return self.index.get_many(documents.read_uploads(document))

    def _make(self, document: Mapping[str, Any]) -> Delivery:
        study_uid, number = document["StudyInstanceUID"], document["Revision"]
        rows = self._rows(document)
        subject, notes = self._subject(document, rows)
        made = making.results_of(subject, self.kinds)
        keys = {one.kind: self._write(study_uid, number, one) for one in made}
        undrawn: Mapping[str, str] = {}
        if Kind.HEAT in self.kinds:
            pictures = Picturing(results=self.results, originals=self.originals).pictures(subject, rows)
            keys |= {one.kind: self._write(study_uid, number, one) for one in pictures.drawn}
            undrawn = pictures.undrawn
        return Delivery(revision=number, keys=keys, notes=notes, undrawn=undrawn)

    def _with_rejection(self, study_uid: str, delivery: Delivery) -> Delivery:
        """Return a delivery with the note that withdraws earlier results, if some are void by now."""
        try:
            note, rejects = self.rejecting.reject(study_uid, delivery.revision, self._subject_of)
        except NoResults as refused:
            logger.error("no rejection note was made", extra={"code": refused.code, "revision": delivery.revision})
            return replace(delivery, not_rejected=refused.code)
        if note is None:
            return delivery
        keys = {**delivery.keys, note.kind: self._write(study_uid, delivery.revision, note)}
        return replace(delivery, keys=keys, rejects=rejects)

    def _subject_of(self, document: Mapping[str, Any]) -> Subject:
        return self._subject(document, self._rows(document))[0]

    def _subject(self, document: Mapping[str, Any], rows: Mapping[str, Row]) -> tuple[Subject, tuple[str, ...]]:
        """Return the input of a document's results, and the keywords of what could not be copied of the patient."""
        study_uid, number = document["StudyInstanceUID"], document["Revision"]
        documents.check(document, rows)
        reference, notes = self._reference(rows)
        earlier = [one.revision for one in self.deliveries.of_study(study_uid) if Kind.SR in one.keys]
        predecessor = max((one for one in earlier if one < number), default=None)
        read = documents.read_of(document, rows, self._series_numbers(rows), predecessor)
        return Subject(read=read, reference=reference, stage=self.stage), notes

    def _write(self, study_uid: str, number: int, result: Result) -> str:
        """Write a result unless it is there; return its key."""
        key = layout.dicom_key(study_uid, number, result.kind)
        self.results.write_bytes_once(key, result.body, CONTENT_TYPE)
        return key

    def _reference(self, rows: Mapping[str, Row]) -> tuple[Dataset, tuple[str, ...]]:
        row = documents.reference_row(rows)
        try:
            header = self.originals.header(row, WANTED)
        except Refusal as refused:
            gone = refused.code == RefusalCode.OBJECT_GONE
            raise no_results(NoResultsCode.HEADER_GONE if gone else NoResultsCode.HEADER_UNREADABLE) from None
        if header.uid("SOPInstanceUID") != row.sop_instance_uid:  # replaced, in a bucket without versions
            raise no_results(NoResultsCode.HEADER_GONE)
        return reference_of(header)

    def _series_numbers(self, rows: Mapping[str, Row]) -> dict[str, int]:
        """Return the SeriesNumber by series, by which archives list them, where a header says it."""
        first = {row.series_instance_uid or "": row for row in rows.values()}
        found: dict[str, int] = {}
        for uid, row in sorted(first.items())[:MOST_NUMBERS]:
            try:
                number = self.originals.header(row, WANTED).number("SeriesNumber")
            except Refusal:  # results name the series by its place then
                continue
            if number is not None:
                found[uid] = number
        return found

    def _forget(self, study_uid: str, number: int, *others: str) -> None:
        """Delete results of a revision that were written before it turned out that it may have none; and ``others``."""
        for name in (*self.kinds, *map(name_of_picture, range(1, MOST_PICTURES + 1)), *others):
            self.results.purge(layout.dicom_key(study_uid, number, name))


def _none(number: int, refused: NoResults) -> Delivery:
    return Delivery(revision=number, keys={}, code=refused.code, reason=refused.reason)
