"""The studies of erased uploads: their members, revisions, documents and DICOM results.

A document names the uploads that it was made of. So where one of them is erased, every revision of the study goes, and
what is left of the study is read anew: its next revision is of the others alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from functions.aws.deliveries import DELIVERY
from functions.aws.study_items import MEMBER, REVISION, upload_of
from functions.domain import layout
from functions.domain.row import Row, Status, moment_of
from functions.names import IndexName
from wetread.connection import Connection
from wetread.erasure.store import Version, delete_for_good, versions_below

WORKERS = 16


@dataclass(frozen=True)
class FoundStudy:
    """What a study keeps of a subject: names of items, documents and DICOM results; ``whole`` if it is all theirs.

    ``uploads`` are the subject's.
    """

    study_instance_uid: str
    uploads: frozenset[str]
    items: tuple[str, ...]
    documents: tuple[Version, ...]
    whole: bool


class ErasingStudies:
    """Finds and erases what studies keep of a subject's rows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._studies = connection.studies
        self._tried: dict[str, str] = {}  # when the last closing before the fence began, by study

    def markers(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows of senders' markers of the studies that have no other members than ``rows``."""
        studies = {one.study_instance_uid for one in self.find(rows) if one.whole}
        index = self._connection.index
        ids = [
            row.upload_id
            for study in sorted(studies)
            for row in index.find(IndexName.BY_STUDY, study)
            if row.status == Status.MARKER
        ]
        return [row for _, row in sorted(index.get_many(ids).items()) if row.status == Status.MARKER]

    def find(self, rows: Iterable[Row]) -> list[FoundStudy]:
        """Return what the studies of ``rows`` keep of them."""
        rows = list(rows)
        ours = frozenset(row.upload_id for row in rows)
        studies = sorted({row.study_instance_uid for row in rows if row.study_instance_uid})
        with ThreadPoolExecutor(WORKERS) as pool:
            found = list(pool.map(lambda study: self._find(study, ours), studies))
        return [one for one in found if one.items or one.documents]

    def _find(self, study: str, ours: frozenset[str]) -> FoundStudy:
        names = list(self._studies.items(study))
        whole = all(upload_of(name) in ours for name in names if name.startswith(MEMBER))
        theirs = (name for name in names if whole or name.startswith((REVISION, DELIVERY)) or upload_of(name) in ours)
        bucket = self._connection.deployment.results_bucket_name
        documents = [
            version
            for prefix in (layout.study_prefix(study), layout.dicom_prefix(study))
            for version in versions_below(self._connection.s3, bucket, prefix)
        ]
        return FoundStudy(study, ours, tuple(theirs), tuple(documents), whole)

    def fence(self, found: Iterable[FoundStudy], now: datetime, settled_seconds: float) -> bool:
        """Let no closing end that has read the rows as they were; return False while one may still write a document.

        Call it after the rows are taken out of the protocol: a closing that begins later makes nothing of them.
        """
        for one in found:
            if one.study_instance_uid not in self._tried:
                self._tried[one.study_instance_uid] = self._studies.fence(one.study_instance_uid).tried_at
        tried = [self._tried[one.study_instance_uid] for one in found]
        return all(not at or (now - moment_of(at)).total_seconds() >= settled_seconds for at in tried)

    def erase(self, found: Iterable[FoundStudy], now: datetime) -> None:
        """Erase what the studies keep by now; the rest of a study is read anew."""
        for known in found:
            one = self._find(known.study_instance_uid, known.uploads)  # the fence is an item, too
            if not one.whole:  # first: an interrupted erasure finds nothing of a study without its items
                self._studies.read_anew(one.study_instance_uid, now)
            delete_for_good(self._connection.s3, list(one.documents))
            for item in one.items:
                self._studies.forget(one.study_instance_uid, item)
