"""Freezes labelled slices into a snapshot: every line checked, every object version pinned, the split made."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.champion import Champions
from functions.aws.cohorts import Cohorts, ManifestVersion
from functions.aws.holdout import Holdout
from functions.aws.objects import Documents
from functions.aws.patients import Patients
from functions.aws.trouble import is_trouble, loggable, name_of
from functions.domain import folds as folding
from functions.domain import instance as instances
from functions.domain import labelling, layout, request, split
from functions.domain import snapshot as snapshots
from functions.domain.cohort import Cohort, ObjectVersion, duplicates, misplaced
from functions.domain.errors import InvalidRequest, MalformedManifest, Refusal, SnapshotRefused
from functions.domain.header import header_of
from functions.domain.instance import Served
from functions.domain.request import AskedWeights, TrainingRequest
from functions.domain.row import timestamp
from functions.domain.slices import LabelledSlice, Split
from functions.domain.snapshot import PinnedWeights, Source, SplitBy
from functions.domain.split import Earlier
from functions.domain.training_run import TrainingRun
from functions.domain.verdict import LabelProblem, Places, Reason, Verdict, trimmed
from functions.flow.comparing import Comparing, Rivals
from functions.names import SLICES
from untrusted.header import Header

logger = logging.getLogger(__name__)

Names = Mapping[str, set[str]]
"""The keyed hashes under which other cohorts may have recorded a patient, by the hash in this one."""

WORKERS = 32  # objects read and copied at once; S3 waits far longer than it works


@dataclass(frozen=True, kw_only=True)
class Snapshotting:
    """Takes snapshots. Ingest's rules admit a cohort, so that training and serving see the same kinds of slices."""

    cohorts: Cohorts
    documents: Documents
    champions: Champions
    comparing: Comparing
    holdout: Holdout
    patients: Patients
    served: Served
    labels: tuple[str, ...]
    folds: int  # 0: a test part instead
    clock: Callable[[], datetime]

    def take(self, execution: str, document: Any) -> TrainingRun:
        """Take the snapshot that an execution's input asks for; return the run, which is the workflow's $snapshot.

        An execution has one snapshot: taking it again returns the existing one. Problems of the input or the labels are
        an answer too (Taken is false); an error of AWS propagates.
        """
        run = layout.run_id(execution)
        try:
            asked = request.parse(document, self.cohorts.bucket)
            rivals = self.comparing.rivals(self.champions.get())
            known = self.documents.find(layout.snapshot_key(run))
            taken = json.loads(known) if known else self._freeze(run, asked, rivals.known)
        except (InvalidRequest, SnapshotRefused) as error:
            self.documents.write(layout.refusal_key(run), Verdict(error.reasons).to_json())
            return TrainingRun(run_id=run, taken=False, reasons=trimmed(error.reasons))
        return self._answer(run, asked, taken, rivals)

    def _freeze(self, run: str, asked: TrainingRequest, known: Earlier) -> Any:
        """Pin the slices, write the jobs' manifest, and last the snapshot: when it exists, so do the others."""
        try:
            manifest = self.cohorts.manifest(asked.manifest_key)
        except Exception as error:
            message = f"The manifest cannot be read: {_why(error)}"
            raise SnapshotRefused([Reason(code=LabelProblem.MALFORMED_MANIFEST, message=message)]) from error
        if manifest is None:
            message = "There is no object at LabelsUri; upload the manifest with its slices first."
            raise SnapshotRefused([Reason(code=LabelProblem.MISSING_MANIFEST, message=message)])
        weights = self._weights(run, asked.initial_weights)
        slices, names = self._slices(asked.manifest_key, manifest)
        # A slice without a label counts as its study's, for the division alone.
        classed = [replace(one, label=one.label or one.study_label) for one in slices]
        split_by, divided = self._divide(classed, asked.seed, names, known)
        slices = [replace(one, label=its.label) for one, its in zip(divided, slices, strict=True)]
        document = snapshots.document_of(
            slices,
            labels=self.labels,
            seed=asked.seed,
            split_by=split_by,
            source=Source(
                uri=layout.uri(self.cohorts.bucket, asked.manifest_key),
                version_id=manifest.version_id,
                sha256=manifest.sha256,
            ),
            created_at=timestamp(self.clock()),
            initial_weights=weights,
            folds=self.folds if any(one.fold for one in slices) else 0,
        )
        self._write_manifest(run, document)
        if not self.documents.write_once(layout.snapshot_key(run), document):
            document = self.documents.read(layout.snapshot_key(run))  # another invocation of this run was faster
            self._write_manifest(run, document)
        return document

    def _weights(self, run: str, asked: AskedWeights | None) -> PinnedWeights | None:
        """Return the pinned weights that the training is to start from; raise SnapshotRefused if S3 gives none."""
        if asked is None:
            return None
        try:
            version, prefix, sha256 = self.cohorts.pin_weights(asked.key, run)
        except Exception as error:
            message = f"The weights at InitialWeights.Uri cannot be used: {_why(error)}"
            raise SnapshotRefused([Reason(code=LabelProblem.UNUSABLE_WEIGHTS, message=message)]) from error
        bucket = self.cohorts.bucket
        return PinnedWeights(
            source_uri=layout.uri(bucket, asked.key),
            version_id=version,
            uri=layout.uri(bucket, prefix),
            sha256=sha256,
            licence=asked.licence,
        )

    def _divide(
        self, slices: list[LabelledSlice], seed: int, names: Names, known: Earlier
    ) -> tuple[SplitBy, list[LabelledSlice]]:
        """Return how the slices were divided, and the slices, each with its part; by the records of their patients.

        A split of the labels' own has a test part, also where the stage tests by folds.
        """
        recorded = {name for some in names.values() for name in some}
        if not self.folds or any(one.split for one in slices):
            tested = self.holdout.tested(recorded) | known.tested
            return _divided(slices, seed, _in_todays_names(replace(known, tested=tested), names))
        had = self.holdout.folds(recorded, self.folds)
        today = {patient: had[name] for patient, some in names.items() for name in sorted(some) if name in had}
        return SplitBy.PATIENT, folding.divide(slices, self.folds, seed, today)

    def _write_manifest(self, run: str, snapshot: Any) -> None:
        prefix = layout.uri(self.cohorts.bucket, SLICES)
        names = [entry["Slice"] for entry in snapshot["Slices"]]
        self.documents.write(layout.slices_manifest_key(run), [{"prefix": prefix}, *names])

    def _slices(self, manifest_key: str, manifest: ManifestVersion) -> tuple[list[LabelledSlice], Names]:
        """Return every labelled slice, read and pinned, and what its patient may be recorded as.

        Raises SnapshotRefused with every reason against any of them.
        """
        try:
            labelled = labelling.parse(manifest.body, is_csv=manifest_key.lower().endswith(".csv"), labels=self.labels)
        except MalformedManifest as error:
            raise SnapshotRefused([Reason(code=LabelProblem.MALFORMED_MANIFEST, message=str(error))]) from error
        folder = manifest_key.rpartition("/")[0] + "/"
        objects = (one for one in self.cohorts.objects(folder) if one.key != manifest_key)
        places = labelled.places
        found, reasons = Cohort(folder, objects).find(labelled.entries, places, self._uids_of)
        with ThreadPoolExecutor(WORKERS) as pool:
            read = list(pool.map(lambda one: self._read(one, places), found))
        slices = [one for one in read if isinstance(one, LabelledSlice)]
        reasons += [*labelled.reasons, *(one for one in read if isinstance(one, Reason))]
        reasons += duplicates(slices, places)
        reasons += misplaced(slices, folder, places)
        reasons += labelling.contradictions(slices, self.labels, places)
        reasons += labelling.missing_classes(labelled.entries, self.labels)
        if reasons:
            raise SnapshotRefused(reasons)
        return self._with_patients(slices)

    def _uids_of(self, versions: Sequence[ObjectVersion]) -> dict[str, tuple[str, str]]:
        """Return the Study and SeriesInstanceUID in the headers of objects, by key; of those that have a header."""

        def read(version: ObjectVersion) -> tuple[str, str]:
            try:
                header = self._header(version)
            except Exception as error:
                _why(error)
                return "", ""
            return header.text("StudyInstanceUID"), header.text("SeriesInstanceUID")

        with ThreadPoolExecutor(WORKERS) as pool:
            return {one.key: uids for one, uids in zip(versions, pool.map(read, versions), strict=True)}

    def _header(self, version: ObjectVersion) -> Header:
        """Return the header of an object, read as ingest does."""
        instances.check_size(version.size, self.served)
        return header_of(lambda length: self.cohorts.head(version.key, version.version_id, length), version.size)

    def _read(self, one: LabelledSlice, places: Places) -> LabelledSlice | Reason:
        """Read the header as ingest does and pin the bytes; or return why the slice is not admitted."""
        try:
            header = self._header(ObjectVersion(key=one.key, version_id=one.version_id, size=one.size))
            instance = instances.describe(header, self.patients.uuid_of)
            instances.check(instance, self.served)
            name = layout.instance_name(layout.upload_id(one.key, one.version_id))
            sha256 = self.cohorts.pin(one.key, one.version_id, name)
        except Exception as error:
            message = f"{places.begin([one.line])}: {_why(error)}"
            return Reason(code=LabelProblem.UNREADABLE_HEADER, message=message, line=one.line)
        instance = instances.identified(instance, sha256)
        return replace(
            one,
            name=name,
            content_sha256=sha256,
            study_instance_uid=instance.study_instance_uid,
            series_instance_uid=instance.series_instance_uid,
            sop_instance_uid=instance.sop_instance_uid,
            patient_id=instance.patient_id,
            issuer_of_patient_id=instance.issuer_of_patient_id,
        )

    def _with_patients(self, slices: list[LabelledSlice]) -> tuple[list[LabelledSlice], Names]:
        """Return the slices with their patients' keyed hashes, and all hashes of each patient.

        An earlier cohort may have lacked the issuer that this one says. One request for each hash.
        """
        ids = _patients(slices)
        variants = [
            {known, (known[0], ""), (known[0], one.issuer_of_patient_id if one.patient_id else "")}
            for one, known in zip(slices, ids, strict=True)
        ]
        distinct = sorted(set().union(*variants))
        with ThreadPoolExecutor(WORKERS) as pool:
            found = (one or "" for one in pool.map(lambda one: self.patients.hash_of(*one), distinct))
            hashes = dict(zip(distinct, found, strict=True))
        names: dict[str, set[str]] = defaultdict(set)
        for known, some in zip(ids, variants, strict=True):
            names[hashes[known]] |= {hashes[one] for one in some}
        return [replace(one, patient=hashes[known]) for one, known in zip(slices, ids, strict=True)], names

    def _answer(self, run: str, asked: TrainingRequest, snapshot: Any, rivals: Rivals) -> TrainingRun:
        bucket = self.cohorts.bucket
        return TrainingRun(
            run_id=run,
            taken=True,
            accepted_risks=asked.accepted_risks,
            seed=asked.seed,
            hyperparameters=asked.hyperparameters,
            snapshot_uri=layout.uri(bucket, layout.snapshot_key(run)),
            slices_manifest_uri=layout.uri(bucket, layout.slices_manifest_key(run)),
            snapshot_digest=snapshot["Digest"],
            slices=len(snapshot["Slices"]),
            champion=rivals.champion,
            reference=rivals.reference,
            initial_weights_uri=snapshot.get("InitialWeights", {}).get("Uri", ""),
        )


def _patients(slices: list[LabelledSlice]) -> list[tuple[str, str]]:
    """Return PatientID and issuer of each slice, by which the split distinguishes patients.

    A PatientID without its issuer may belong to any issuer. Then all slices with that PatientID count as one patient's,
    so that no patient is on two sides of a split.
    """
    said = [(one.patient_id, one.issuer_of_patient_id) for one in slices]
    without = {patient_id for patient_id, issuer in said if not issuer}
    return [
        (patient_id, "" if patient_id in without else issuer) if patient_id else (one.study_instance_uid, "")
        for one, (patient_id, issuer) in zip(slices, said, strict=True)
    ]


def _why(error: Exception) -> str:
    """Return why an object is not admitted, as a sentence; raise the error if it is AWS trouble, not the object's."""
    if isinstance(error, Refusal):
        return error.reason
    if is_trouble(error):
        raise error
    if isinstance(error, ClientError):
        return f"S3 does not give the object ({name_of(error)}); upload it again."
    logger.error("object not read", extra=loggable(error))
    return f"The service fails to read the object ({name_of(error)}); leave it out, and report it."


def _in_todays_names(earlier: Earlier, names: Names) -> Earlier:
    """Return what earlier runs did with the patients of this cohort, by the hashes that they have in it."""
    return Earlier(
        tested=frozenset(patient for patient, some in names.items() if some & earlier.tested),
        trained=frozenset(patient for patient, some in names.items() if some & earlier.trained),
    )


def _divided(slices: list[LabelledSlice], seed: int, earlier: Earlier) -> tuple[SplitBy, list[LabelledSlice]]:
    """Return how the slices were divided, and the slices, each with its part."""
    if not any(one.split for one in slices):  # the manifest gives every slice a part or none
        return split.divide(slices, seed, earlier)
    return SplitBy.MANIFEST, [
        replace(one, retrained=one.split is not Split.TEST and one.patient in earlier.tested) for one in slices
    ]
