"""What training keeps of a patient or a study: labelled objects and their labels, pinned slices, snapshots, pictures.

The order makes an erasure repeatable: first the data that is recognised by the objects (labels, snapshots, the pictures
of reports), then the slices and the objects themselves.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from functions.aws.holdout import Holdout
from functions.aws.objects import MOST_RUN_DOCUMENT_BYTES, Documents, refusals
from functions.domain import layout
from functions.domain.cohort import ObjectVersion
from functions.domain.errors import MalformedDocument, Refusal, RefusalCode
from functions.domain.row import timestamp
from functions.domain.slices import Split
from functions.domain.snapshot import ERASED
from functions.names import COHORTS, RUNS, SLICES
from wetread.connection import Connection
from wetread.erasure.labels import LABELS_FILES, Labels, without
from wetread.erasure.reports import Shown
from wetread.erasure.store import Version, delete_for_good, versions_below, versions_of
from wetread.erasure.subjects import Identity, Marks, Subject, Verdict, identity_of

WORKERS = 32
SNAPSHOT = re.compile(rf"{RUNS}([^/]+)/snapshot\.json")
REPORTS = (layout.report_key, layout.audit_report_key)


@dataclass(frozen=True)
class SubjectRun:
    """A run that used slices of the subject: its snapshot, and the subject's entries in it.

    ``shown`` is what to erase from its reports, by key; ``older`` are earlier versions of these.
    """

    run: str
    snapshot: Mapping[str, Any]
    entries: Sequence[Mapping[str, Any]]
    shown: Mapping[str, Shown] = field(default_factory=dict)
    older: Sequence[Version] = ()

    @property
    def trained(self) -> bool:
        """Whether the model was trained or selected on them."""
        return any(entry["Split"] != Split.TEST for entry in self.entries)


@dataclass
class FoundTraining:
    """The training data of a subject. ``unclear`` are entries of snapshots with an unknown subject.

    ``records`` are the patients (keyed hashes) with a record of the runs that measured models on them, and nobody else.
    ``undecided`` are keys of objects without a subject, and of unreadable documents of runs. ``under_way`` are runs
    that have not ended, and may still write data of the subject that they read before.
    """

    objects: dict[str, list[Version]] = field(default_factory=dict)
    labels: list[Labels] = field(default_factory=list)
    runs: list[SubjectRun] = field(default_factory=list)
    records: frozenset[str] = frozenset()
    unclear: int = 0
    undecided: set[str] = field(default_factory=set)
    under_way: set[str] = field(default_factory=set)

    def counts(self) -> Counter[str]:
        """Return how many of each kind."""
        counts = Counter({kind: len(versions) for kind, versions in self.objects.items()})
        counts["lines of labels"] = sum(one.lines for one in self.labels)
        counts["entries of snapshots"] = sum(len(one.entries) for one in self.runs)
        shown = [each for one in self.runs for each in one.shown.values()]
        counts["pictures in reports"] = sum(len(each.pictures) for each in shown)
        counts["lines in reports"] = sum(len(each.rows) for each in shown)
        counts["records of tests"] = len(self.records)
        counts["older reports"] = sum(len(one.older) for one in self.runs)
        return +counts


class ErasingTraining:
    """Finds and erases what training keeps."""

    def __init__(self, connection: Connection, subject: Subject) -> None:
        self._subject = subject
        self._s3 = connection.s3
        self._bucket = connection.deployment.training_bucket_name
        self._documents = Documents(self._s3, self._bucket, MOST_RUN_DOCUMENT_BYTES)
        self._holdout = Holdout(connection.dynamodb, connection.deployment.batches_table_name)
        self._connection = connection
        self._identities: dict[str, Identity | None] = {}

    def find(self) -> FoundTraining:
        """Return the subject's data. Headers are read of objects that no snapshot names or no hash decides."""
        found = FoundTraining()
        running = {
            run.run_id for run in self._connection.runs.running()
        }  # first: what a run writes meanwhile is found below
        cohort, slices = (list(versions_below(self._s3, self._bucket, one)) for one in (COHORTS, SLICES))
        copies = {_name(one): one for one in [*cohort, *slices] if not one.is_marker}
        snapshots = dict(self._snapshots(found))
        known = {entry["Slice"]: entry for document in snapshots.values() for entry in document["Slices"]}
        with ThreadPoolExecutor(WORKERS) as pool:
            names = sorted({*copies, *known})
            verdicts = dict(
                zip(names, pool.map(lambda one: self._judge(known.get(one), copies.get(one)), names), strict=True)
            )
        theirs = {name for name, verdict in verdicts.items() if verdict == Verdict.THEIRS}
        unclear = {name for name, verdict in verdicts.items() if verdict == Verdict.UNCLEAR}
        found.unclear = len(unclear & set(known))
        found.undecided |= {copies[name].key for name in unclear - set(known)}
        for run, document in snapshots.items():
            one = self._run(run, document, theirs, found)
            if one.entries or one.shown or one.older:
                found.runs.append(one)
        found.records = self._records(snapshots.values(), theirs)
        found.under_way = {run for run in running if run not in snapshots or _is_of_erased(snapshots[run], theirs)}
        objects = [one for one in cohort if not one.is_marker and _name(one) in theirs]
        found.objects["labelled objects"] = objects + _markers_of(objects, cohort)
        found.objects["pinned slices"] = [one for one in slices if one.key.rpartition("/")[2] in theirs]
        found.labels = list(self._labels(objects, cohort))
        return found

    def _judge(self, entry: Mapping[str, Any] | None, version: Version | None) -> Verdict:
        if entry:
            marks = Marks(entry["Patient"], entry["StudyInstanceUID"])
            return self._subject.judge(marks, lambda: self._identity(version) if version else None)
        return self._subject.verdict_of(self._identity(version)) if version else Verdict.OTHERS

    def _identity(self, version: Version) -> Identity | None:
        name = _name(version)
        if name not in self._identities:
            seen = identity_of(self._s3, self._bucket, version.key, version.version_id, version.size)
            self._identities[name] = seen
        return self._identities[name]

    def _snapshots(self, found: FoundTraining) -> Iterator[tuple[str, Any]]:
        """Yield the snapshots by run; record unreadable ones as undecided."""
        for key in self._documents.keys(RUNS):
            match = SNAPSHOT.fullmatch(key)
            body = self._readable(key, found) if match else None
            if match and body is not None:
                try:
                    document = json.loads(body)
                    _check(document)
                except (ValueError, TypeError, KeyError, RecursionError):
                    found.undecided.add(key)
                    continue
                yield match[1], document

    def _readable(self, key: str, found: FoundTraining) -> bytes | None:
        """Return a run's document; None if it is gone or unreadable (recorded as undecided)."""
        try:
            with refusals(self._s3, self._bucket, key, "null", data_key_arn=""):
                return self._documents.find(key)
        except (MalformedDocument, Refusal):
            found.undecided.add(key)
            return None

    def _run(self, run: str, document: Any, theirs: set[str], found: FoundTraining) -> SubjectRun:
        """Return the subject's data in a run.

        What a report shows of a line that is not in the snapshot is of an erased subject, this or another one: a job
        that had read the slice before the erasure wrote it afterwards.
        """
        entries = [entry for entry in document["Slices"] if entry["Slice"] in theirs]
        if not _is_of_erased(document, theirs):
            return SubjectRun(run, document, entries)
        kept = {entry["Line"] for entry in document["Slices"]} - {entry["Line"] for entry in entries}
        keys = [key_of(run) for key_of in REPORTS]
        pages = {key: (self._readable(key, found) or b"").decode(errors="surrogateescape") for key in keys}
        shown = {key: some for key, page in pages.items() if (some := Shown.of(page, kept))}
        versions = [one for key in keys for one in versions_of(self._s3, self._bucket, key)]
        return SubjectRun(run, document, entries, shown, [one for one in versions if not one.latest])

    def _labels(self, theirs: list[Version], cohort: list[Version]) -> Iterator[Labels]:
        """Yield the versions of labels files that name the subject's objects, each with the file without them."""
        if not theirs:
            return
        for version in cohort:
            if version.size > MOST_RUN_DOCUMENT_BYTES and version.key.lower().endswith(LABELS_FILES):
                yield Labels(version, 0, b"", unsure=True)  # no run takes it, and nothing could hold it here
            elif version.key.lower().endswith(LABELS_FILES) and not version.is_marker:
                where: Any = {} if version.version_id == "null" else {"VersionId": version.version_id}
                try:
                    with refusals(self._s3, self._bucket, version.key, version.version_id, data_key_arn=""):
                        body = self._s3.get_object(Bucket=self._bucket, Key=version.key, **where)["Body"].read()
                except Refusal as refusal:
                    if refusal.code != RefusalCode.OBJECT_GONE:
                        yield Labels(version, 0, b"", unsure=True)
                    continue
                rewritten = without(version, body, theirs, cohort, lambda wanted: self._uids_of(wanted, cohort))
                if rewritten.lines or rewritten.unsure:
                    yield rewritten

    def _uids_of(self, wanted: Sequence[ObjectVersion], cohort: list[Version]) -> dict[str, tuple[str, str]]:
        """Return the StudyInstanceUID of labelled objects, by key, and no series: a series is one subject's anyway."""
        newest = {one.key: one for one in sorted(cohort, key=lambda one: one.latest) if not one.is_marker}
        keys = [one.key for one in wanted]
        with ThreadPoolExecutor(WORKERS) as pool:
            identities = pool.map(lambda key: self._identity(newest[key]), keys)
            return {key: (seen.study, "") for key, seen in zip(keys, identities, strict=True) if seen}

    def _records(self, snapshots: Iterable[Any], theirs: set[str]) -> frozenset[str]:
        """Return the patients of the subject's entries who have no other entry, and have a record."""
        entries = [entry for document in snapshots for entry in document["Slices"]]
        others = {entry["Patient"] for entry in entries if entry["Slice"] not in theirs}
        return self._holdout.recorded({entry["Patient"] for entry in entries} - others)

    def erase(self, found: FoundTraining, now: datetime | None = None) -> None:
        """Erase all that was found; repeatable."""
        for patient in found.records:  # first: the snapshots lead to them
            self._holdout.forget(patient)
        for one in found.runs:
            self._erase_run(one, timestamp(now or datetime.now(UTC)))
        for labels in found.labels:
            if labels.lines and labels.version.latest:
                self._s3.put_object(Bucket=self._bucket, Key=labels.version.key, Body=labels.body)
        delete_for_good(self._s3, [labels.version for labels in found.labels if labels.lines])
        for versions in found.objects.values():
            delete_for_good(self._s3, versions)

    def _erase_run(self, one: SubjectRun, at: str) -> None:
        """Remove the subject's slices from a run's documents; the snapshot last, since it leads to the others."""
        for key, shown in one.shown.items():
            page = self._documents.find(key)
            if page is not None:
                text = shown.erased_from(page.decode(errors="surrogateescape"))
                self._replace(key, text.encode(errors="surrogateescape"), "text/html")
        delete_for_good(self._s3, one.older)
        if not one.entries:
            return
        names = {entry["Slice"] for entry in one.entries}
        kept = [entry for entry in one.snapshot["Slices"] if entry["Slice"] not in names]
        prefix = {"prefix": layout.uri(self._bucket, SLICES)}
        manifest = [prefix, *(entry["Slice"] for entry in kept)]
        self._replace(layout.slices_manifest_key(one.run), json.dumps(manifest).encode(), "application/json")
        before = one.snapshot.get(ERASED, {"Slices": 0})["Slices"]
        erased = {"Slices": before + len(one.entries), "At": at}
        document = {**one.snapshot, "Slices": kept, ERASED: erased}
        self._replace(layout.snapshot_key(one.run), json.dumps(document).encode(), "application/json")

    def _replace(self, key: str, body: bytes, content_type: str) -> None:
        """Overwrite an object and delete its earlier versions."""
        before = versions_of(self._s3, self._bucket, key)
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)
        newest = {one.version_id for one in versions_of(self._s3, self._bucket, key) if one.latest}
        delete_for_good(self._s3, [one for one in before if one.version_id not in newest])


def _name(version: Version) -> str:
    """Return the name of a version's slice, pinned or to be pinned."""
    if version.key.startswith(SLICES):
        return version.key.removeprefix(SLICES)
    return layout.instance_name(layout.upload_id(version.key, version.version_id))


def _check(document: Any) -> None:
    """Raise TypeError, KeyError or ValueError for a snapshot with entries that lack a readable subject."""
    for entry in document["Slices"]:
        texts = [entry[name] for name in ("Slice", "Patient", "StudyInstanceUID")]
        if not all(isinstance(text, str) for text in texts) or type(entry["Line"]) is not int:
            raise TypeError
        Split(entry["Split"])
    if document.get(ERASED):
        int(document[ERASED]["Slices"])


def _is_of_erased(snapshot: Any, theirs: set[str]) -> bool:
    """Return whether a snapshot has entries of ``theirs``, or lost entries to an erasure."""
    return bool(snapshot.get(ERASED)) or any(entry["Slice"] in theirs for entry in snapshot["Slices"])


def _markers_of(theirs: list[Version], cohort: list[Version]) -> list[Version]:
    """Return the delete markers of keys with no version of another: such a marker hides another's deletion."""
    others = {one.key for one in cohort if not one.is_marker and one not in theirs}
    keys = {one.key for one in theirs} - others
    return [one for one in cohort if one.is_marker and one.key in keys]
