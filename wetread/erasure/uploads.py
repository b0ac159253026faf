"""The uploads of a patient or a study, and everything derived from them; uploads that a running job reads are kept.

A row is taken out of the batch protocol first (``Erased``), by a condition that fails while a batch holds it. Then goes
what it leads to, and last the row itself: so an erasure that was interrupted finds it again.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.events import object_created
from functions.aws.objects import Documents
from functions.aws.ordered import first
from functions.domain import layout
from functions.domain.artifact import read_artifact
from functions.domain.errors import InvalidArtifact, MalformedEvent
from functions.domain.lane import END_SECONDS, RUN_SECONDS, is_new
from functions.domain.row import Row, Status, moment_of, timestamp
from functions.names import INSTANCES, OUTPUTS, IndexName
from wetread.connection import Connection
from wetread.erasure.store import Version, delete_for_good, uploads_in_parts, versions_below, versions_of
from wetread.erasure.studies import ErasingStudies, FoundStudy
from wetread.erasure.subjects import SAYING_NOTHING, Identity, Marks, Subject, Verdict, identity_of

WORKERS = 16
# No function runs longer, so one that had a row at its batch's end has finished by then, also a run.
SETTLED_SECONDS = RUN_SECONDS + END_SECONDS
# No ingest runs longer than this (twice its timeout): until then it may add a member to the study of a new row.
FRESH_SECONDS = 40
PEEKED_SECONDS = 30  # how long a dead letter is hidden from others after it was read


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter about an object version that has no row."""

    queue: str
    receipt: str
    version: Version

    @property
    def upload_id(self) -> str:
        """The Upload that it would have become."""
        return layout.upload_id(self.version.key, self.version.version_id)


@dataclass
class FoundUploads:
    """The subject's uploads and all data derived from them; ``unclear`` are rows that may be another subject's.

    ``undecided`` are keys of objects that cannot be read as far as their patient.
    """

    rows: list[Row] = field(default_factory=list)
    held: list[Row] = field(default_factory=list)
    unclear: list[Row] = field(default_factory=list)
    undecided: set[str] = field(default_factory=set)
    strays: list[Version] = field(default_factory=list)
    objects: dict[str, list[Version]] = field(default_factory=dict)
    in_parts: list[tuple[str, str]] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    hidden_keys: int = 0
    studies: list[FoundStudy] = field(default_factory=list)

    def counts(self) -> Counter[str]:
        """Return how many of each kind."""
        counts = Counter({kind: len(versions) for kind, versions in self.objects.items()})
        counts["uploads without a row"] = len(self.strays)
        counts["unfinished multipart uploads"] = len(self.in_parts)
        counts["dead letters"] = len(self.dead_letters)
        counts["rows"] = len(self.rows)
        counts["hidden keys"] = self.hidden_keys
        counts["items of studies"] = sum(len(one.items) for one in self.studies)
        counts["study documents"] = sum(len(one.documents) for one in self.studies)
        return +counts


class ErasingUploads:
    """Finds and erases uploads."""

    def __init__(self, connection: Connection, subject: Subject) -> None:
        self._connection = connection
        self._subject = subject
        self._index = connection.index
        self._s3 = connection.s3
        self._studies = ErasingStudies(connection)
        self._uploads = connection.deployment.uploads_bucket_name
        self._identities: dict[tuple[str, str], Identity | None] = {}
        self._letters: list[DeadLetter] | None = None
        self._weights: dict[str, str] | None = None

    def find(self, free: Callable[[Row], bool] = lambda _row: True) -> FoundUploads:
        """Return the subject's data now: of rows that are ``free``; the other rows are ``held``.

        What is free is decided by the row as it is read here, which ``begin`` then asks to be unchanged.
        """
        found = FoundUploads()
        ids = sorted({*self._subject.upload_ids(self._index), *self._unmarked()})
        rows = [row for _, row in sorted(self._index.get_many(ids).items())]
        # Not a row that is Erased: a secondary index may still show it as it was.
        rows = [row for row in rows if row.received_at]
        keys = self._connection.keys.reveal(row.upload_id for row in rows) if rows else {}
        rows = [row if row.upload_id not in keys else _with_key(row, keys[row.upload_id]) for row in rows]
        with ThreadPoolExecutor(WORKERS) as pool:
            for row, verdict in zip(rows, pool.map(self._judge, rows), strict=True):
                if verdict == Verdict.UNCLEAR and self._subject.marks_lacking(row):
                    found.undecided.add(row.key)
                elif verdict == Verdict.UNCLEAR:
                    found.unclear.append(row)
                elif verdict == Verdict.THEIRS:
                    (found.rows if free(row) else found.held).append(row)
            if not found.held:
                known = {row.upload_id for row in found.rows}
                found.rows += [row for row in self._studies.markers(found.rows) if row.upload_id not in known]
            found.studies = self._studies.find(found.rows)
            found.hidden_keys = sum(row.upload_id in keys for row in found.rows)
            self._find_objects(found, pool)
        return found

    def _unmarked(self) -> Iterator[str]:
        """Return Uploads with no patient in their rows: refused before it was read, or not yet ingested."""
        for status in (Status.REFUSED, Status.RECEIVED):
            for row in self._index.find(IndexName.BY_STATUS, status):
                if row.code not in SAYING_NOTHING and self._subject.marks_lacking(row):
                    yield row.upload_id

    def _judge(self, row: Row) -> Verdict:
        if self._subject.marks_lacking(row):
            return self._subject.verdict_of(self._identity(Version(self._uploads, row.key, row.version_id, row.size)))
        return self._subject.judge(
            Marks(row.patient_hash or "", row.study_instance_uid or ""),
            lambda: self._identity(Version(self._uploads, row.key, row.version_id, row.size)),
        )

    def _identity(self, version: Version) -> Identity | None:
        where = version.key, version.version_id
        if where not in self._identities:
            self._identities[where] = identity_of(
                self._s3, version.bucket, version.key, version.version_id, version.size
            )
        return self._identities[where]

    def _find_objects(self, found: FoundUploads, pool: ThreadPoolExecutor) -> None:
        ours = {row.upload_id for row in found.rows}
        found.dead_letters = [
            one
            for one in self._dead_letters()
            if self._is_stray(one.version, ours, found) or self._is_erased(one.upload_id)
        ]
        keys = {row.key for row in found.rows if row.key} | {one.version.key for one in found.dead_letters}
        versions: list[Version] = []
        for at_key in pool.map(lambda key: versions_of(self._s3, self._uploads, key), sorted(keys)):
            strays = [one for one in at_key if not one.is_marker and self._is_stray(one, ours, found)]
            theirs = [one for one in at_key if _upload_id(one) in ours]
            found.strays += strays
            versions += [*theirs, *strays]
            if all(one.is_marker or one in theirs or one in strays for one in at_key):
                versions += [one for one in at_key if one.is_marker]  # otherwise it hides another subject's object
        found.objects["upload versions"] = [one for one in versions if not one.is_marker]
        found.objects["delete markers"] = [one for one in versions if one.is_marker]
        parts = pool.map(lambda key: uploads_in_parts(self._s3, self._uploads, key), sorted(keys))
        found.in_parts = [(key, one) for key, ids in zip(sorted(keys), parts, strict=True) for one in ids]
        ours |= {_upload_id(one) for one in found.strays}
        work = self._connection.deployment.work_bucket_name
        copies = pool.map(lambda one: list(versions_below(self._s3, work, INSTANCES + one)), sorted(ours))
        found.objects["pinned copies"] = [one for copy in copies for one in copy]
        found.objects["job outputs"] = (
            [one for one in versions_below(self._s3, work, OUTPUTS) if layout.upload_of_output(one.key) in ours]
            if ours
            else []
        )
        results = pool.map(
            lambda key: versions_of(self._s3, self._connection.deployment.results_bucket_name, key),
            sorted(self._result_keys(found.rows)),
        )
        found.objects["result documents"] = [one for versions in results for one in versions]

    def _is_stray(self, version: Version, ours: set[str], found: FoundUploads) -> bool:
        """Return whether a version without a row is the subject's; record it as undecided if it does not say."""
        upload_id = _upload_id(version)
        if upload_id in ours:
            return False
        row = self._index.get(upload_id)
        if row is not None and row.received_at:
            return False
        verdict = self._subject.verdict_of(self._identity(version))
        if verdict == Verdict.UNCLEAR:
            found.undecided.add(version.key)
        return verdict == Verdict.THEIRS

    def _is_erased(self, upload_id: str) -> bool:
        """Return whether an upload is erased, apart from a dead letter, which only its key leads to."""
        row = self._index.get(upload_id)
        return row is not None and row.status == Status.ERASED and not row.received_at

    def _result_keys(self, rows: list[Row]) -> set[str]:
        """Return the keys of all results that the bytes may have, one for each model that may have read them.

        A row names its last one only; a version that was withdrawn may have read it before, and a collector that lost
        the row to another may have written one too.
        """
        keys = {row.prediction_key for row in rows if row.prediction_key}
        contents = {row.content_sha256 for row in rows if row.content_sha256}
        models = self._models().items() if contents else ()
        return keys | {
            layout.prediction_key(layout.prediction_id(content, package, weights))
            for package, weights in models
            for content in contents
        }

    def _models(self) -> dict[str, str]:
        """Return the weights (SHA-256) of each model version: from one of its results, else from its artifact."""
        if self._weights is None:
            self._weights = {}
            for version in self._connection.registry.versions():
                weights = self._weights_in_results(version.model_package) or self._weights_in(version.artifact_sha256)
                if weights:
                    self._weights[version.model_package] = weights
        return self._weights

    def _weights_in_results(self, model_package: str) -> str:
        results = Documents(self._s3, self._connection.deployment.results_bucket_name)
        for row in first(self._index.find(IndexName.BY_MODEL, model_package, page=5), 5):
            if row.prediction_key and results.find(row.prediction_key):
                return str(results.read(row.prediction_key)["WeightsSHA256"])
        return ""

    def _weights_in(self, artifact_sha256: str) -> str:
        models = Documents(self._s3, self._connection.deployment.models_bucket_name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tar.gz"
            try:
                models.download(layout.artifact_key(artifact_sha256), path)
                return read_artifact(path).weights_sha256
            except (ClientError, InvalidArtifact):
                return ""  # a version with an unreadable artifact has no results

    def _dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters about uploads, read once: reading hides them from others for a while."""
        if self._letters is None:
            self._letters = [
                one for queue in self._connection.deployment.dead_letter_queue_urls for one in self._peek(queue)
            ]
        return self._letters

    def _peek(self, queue: str) -> Iterator[DeadLetter]:
        while True:
            answer: Any = self._connection.sqs.receive_message(
                QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=PEEKED_SECONDS
            )
            if not answer.get("Messages"):
                return
            for message in answer["Messages"]:
                try:
                    event = object_created(message["Body"])
                except MalformedEvent:
                    continue
                if event.bucket == self._uploads:
                    version = Version(self._uploads, event.key, event.version_id, event.size)
                    yield DeadLetter(queue, message["ReceiptHandle"], version)

    def begin(self, found: FoundUploads, now: datetime) -> bool:
        """Take every row out of the protocol; False when one has changed since it was found."""
        begun = [row.status == Status.ERASED or self._take_out(row, timestamp(now)) for row in found.rows]
        return all([*begun, *(self._index.bury(_upload_id(one), now) for one in found.strays)])

    def _take_out(self, row: Row, now: str) -> bool:
        marks = self._subject.marks_lacking(row)
        return self._index.begin_erasure(row, now, marks) if marks else self._index.begin_erasure(row, now)

    def is_settled(self, found: FoundUploads, now: datetime, settled_seconds: float) -> bool:
        """Return whether no closing of a study can still write what is erased; ``begin`` comes before."""
        return self._studies.fence(found.studies, now, settled_seconds)

    def erase(self, found: FoundUploads, now: datetime) -> None:
        """Erase all that was found of rows that ``begin`` has taken out; repeatable."""
        for stray in found.strays:  # ingest writes the hidden key before the row
            self._connection.keys.forget(_upload_id(stray))
        for versions in found.objects.values():
            delete_for_good(self._s3, versions)
        for key, upload_id in found.in_parts:
            self._s3.abort_multipart_upload(Bucket=self._uploads, Key=key, UploadId=upload_id)
        for letter in found.dead_letters:
            self._connection.sqs.delete_message(QueueUrl=letter.queue, ReceiptHandle=letter.receipt)
        self._letters = [one for one in self._letters or [] if one not in found.dead_letters]
        self._studies.erase(found.studies, now)
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda row: self._bury(row.upload_id, now), found.rows))

    def _bury(self, upload_id: str, now: datetime) -> None:
        self._connection.keys.forget(upload_id)
        self._index.bury(upload_id, now)


def _upload_id(version: Version) -> str:
    return layout.upload_id(version.key, version.version_id)


def _with_key(row: Row, key: str) -> Row:
    return Row(**{**vars(row), "key": key})


def is_free(
    row: Row, now: datetime, settled_seconds: float = SETTLED_SECONDS, fresh_seconds: float = FRESH_SECONDS
) -> bool:
    """Return whether no function writes anything of the row any more, and no batch holds it.

    A collector that had the row may still write its result, a run its output, and ingest the member of a row that it
    has just written. What a run left has had no try, but a group.
    """
    unchanged = (now - moment_of(row.updated_at)).total_seconds()
    if row.status in {Status.RECEIVED, Status.ERASED}:  # ingest never overwrites an Erased row
        return True
    if row.status == Status.BATCHED:
        return False
    untouched = row.status == Status.PENDING and is_new(row) and not row.requeued_at
    if untouched or row.status in {Status.REFUSED, Status.MARKER}:
        return not row.study_instance_uid or unchanged >= min(fresh_seconds, settled_seconds)
    return unchanged >= settled_seconds
