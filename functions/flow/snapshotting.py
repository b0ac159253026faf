"""Freezes labelled slices into a snapshot: every line checked, every object version pinned, the split made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from functions.aws.champion import Champion, Champions
from functions.aws.cohorts import Cohorts, ManifestVersion
from functions.aws.objects import Documents
from functions.aws.patients import Patients
from functions.aws.trouble import is_trouble, name_of
from functions.domain import instance as instances
from functions.domain import labelling, layout, request, split
from functions.domain import snapshot as snapshots
from functions.domain.cohort import Cohort, LabelledContent, LabelledObject, ObjectVersion, duplicates
from functions.domain.errors import MalformedManifest, Refusal
from functions.domain.instance import Instance, Served
from functions.domain.labelling import Entry
from functions.domain.request import InvalidRequest, TrainingRequest
from functions.domain.row import timestamp
from functions.domain.snapshot import PinnedSlice, Source, Split, SplitBy
from functions.domain.split import Labelled
from functions.domain.verdict import LabelProblem, Reason, Verdict, trimmed
from functions.flow.intake import header_of
from functions.names import SLICES

WORKERS = 32  # objects read and copied at once; S3 waits far longer than it works


@dataclass(frozen=True, kw_only=True)
class Content:
    """One labelled object whose header was read and whose copy ``name`` is pinned."""

    entry: Entry
    version: ObjectVersion
    name: str
    sha256: str
    instance: Instance


class Untaken(Exception):
    """No snapshot can be taken; ``reasons`` say everything that is wrong, in the manifest's order."""

    def __init__(self, reasons: Iterable[Reason]) -> None:
        super().__init__("no snapshot can be taken")
        self.reasons = tuple(sorted(reasons, key=lambda reason: reason.line))


@dataclass(frozen=True, kw_only=True)
class Snapshotting:
    """Takes snapshots. A cohort is admitted by the rules of ingest, so that what is trained on is what is served."""

    cohorts: Cohorts
    documents: Documents
    champions: Champions
    patients: Patients
    served: Served
    labels: tuple[str, ...]
    models_bucket: str
    clock: Callable[[], datetime]

    def take(self, execution: str, document: Any) -> dict[str, Any]:
        """Take the snapshot that an execution's input asks for; the answer is the state machine's $snapshot.

        An execution has one snapshot: taking it again answers with the one that is there. What is wrong with the input
        or the labels is an answer too (Taken is false); an error of AWS propagates.
        """
        run = layout.run_id(execution)
        try:
            asked = request.parse(document, self.cohorts.bucket)
            known = self.documents.find(layout.snapshot_key(run))
            taken = json.loads(known) if known else self._freeze(run, asked)
        except (InvalidRequest, Untaken) as error:
            self.documents.write(layout.refusal_key(run), Verdict(error.reasons).to_json())
            return _refusal(run, error.reasons)
        return self._answer(run, asked, taken)

    def _freeze(self, run: str, asked: TrainingRequest) -> Any:
        """Pin the slices, then write the jobs' manifest, and last the snapshot, which thereby vouches for both."""
        try:
            manifest = self.cohorts.manifest(asked.manifest_key)
        except Refusal as refusal:
            message = f"The manifest cannot be read: {refusal.reason}"
            raise Untaken([Reason(code=LabelProblem.MALFORMED_MANIFEST, message=message)]) from refusal
        if manifest is None:
            message = "There is no object at LabelsUri; upload the manifest with its slices first."
            raise Untaken([Reason(code=LabelProblem.MISSING_MANIFEST, message=message)])
        contents = self._contents(asked.manifest_key, manifest)
        split_by, slices = self._divided(contents, asked.seed)
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
        )
        self._write_manifest(run, document)
        if not self.documents.write_once(layout.snapshot_key(run), document):
            document = self.documents.read(layout.snapshot_key(run))  # another invocation of this run was quicker
            self._write_manifest(run, document)
        return document

    def _write_manifest(self, run: str, snapshot: Any) -> None:
        prefix = layout.uri(self.cohorts.bucket, SLICES)
        names = [entry["Slice"] for entry in snapshot["Slices"]]
        self.documents.write(layout.slices_manifest_key(run), [{"prefix": prefix}, *names])

    def _contents(self, manifest_key: str, manifest: ManifestVersion) -> list[Content]:
        """Every labelled slice, read and pinned; raises Untaken with all that is wrong with any of them."""
        try:
            labelled = labelling.parse(manifest.body, is_csv=manifest_key.lower().endswith(".csv"), labels=self.labels)
        except MalformedManifest as error:
            raise Untaken([Reason(code=LabelProblem.MALFORMED_MANIFEST, message=str(error))]) from error
        folder = manifest_key.rpartition("/")[0] + "/"
        objects = (one for one in self.cohorts.objects(folder) if one.key != manifest_key)
        found, reasons = Cohort(folder, objects).find(labelled.entries)
        with ThreadPoolExecutor(WORKERS) as pool:
            read = list(pool.map(self._read, found))
        contents = [one for one in read if isinstance(one, Content)]
        reasons += [*labelled.reasons, *(one for one in read if isinstance(one, Reason))]
        reasons += duplicates(
            [
                LabelledContent(
                    entry=one.entry,
                    version=one.version,
                    sha256=one.sha256,
                    sop_instance_uid=one.instance.sop_instance_uid,
                )
                for one in contents
            ]
        )
        reasons += labelling.missing_classes(labelled.entries, self.labels)
        if reasons:
            raise Untaken(reasons)
        return contents

    def _read(self, labelled: LabelledObject) -> Content | Reason:
        """Read the header as ingest does and pin the bytes; or say why the slice is not admitted."""
        version = labelled.version
        try:
            instances.check_size(version.size, self.served)
            header = header_of(lambda length: self.cohorts.head(version, length), version.size)
            instance = instances.describe(header, self.patients.uuid_of)
            instances.check(instance, self.served)
            name = layout.instance_name(layout.upload_id(version.key, version.version_id))
            sha256 = self.cohorts.pin(version, name)
        except Refusal as refusal:
            return _unreadable(labelled.entry, refusal.reason)
        except ClientError as error:
            if is_trouble(error):
                raise
            return _unreadable(labelled.entry, f"S3 does not give the object ({name_of(error)}); upload it again.")
        return Content(
            entry=labelled.entry,
            version=version,
            name=name,
            sha256=sha256,
            instance=instances.identified(instance, sha256),
        )

    def _divided(self, contents: list[Content], seed: int) -> tuple[SplitBy, list[PinnedSlice]]:
        """The slices as the snapshot pins them, each in its part."""
        patients = self._patient_hashes(contents)
        given = [one.entry.split for one in contents if one.entry.split]
        split_by, parts = (SplitBy.MANIFEST, given) if given else _divide(contents, patients, seed)
        return split_by, [
            PinnedSlice(
                line=one.entry.line,
                name=one.name,
                version_id=one.version.version_id,
                content_sha256=one.sha256,
                label=one.entry.label,
                split=part,
                patient=patient,
                study_instance_uid=one.instance.study_instance_uid,
                series_instance_uid=one.instance.series_instance_uid,
            )
            for one, patient, part in zip(contents, patients, parts, strict=True)
        ]

    def _patient_hashes(self, contents: list[Content]) -> list[str]:
        """The keyed hash of each slice's patient, asked for once per patient; without a PatientID the study's."""
        ids = _patients(contents)
        distinct = sorted(set(ids))
        with ThreadPoolExecutor(WORKERS) as pool:
            hashes = dict(zip(distinct, pool.map(lambda one: self.patients.hash_of(*one), distinct), strict=True))
        return [hashes[one] or "" for one in ids]

    def _answer(self, run: str, asked: TrainingRequest, snapshot: Any) -> dict[str, Any]:
        bucket, champion = self.cohorts.bucket, self.champions.get()
        return {
            "Taken": True,
            "Run": run,
            "Reasons": [],
            "AcceptedRisks": list(asked.accepted_risks),
            "Seed": str(asked.seed),
            "HyperParameters": dict(asked.hyperparameters),
            "SnapshotUri": layout.uri(bucket, layout.snapshot_key(run)),
            "SlicesManifestUri": layout.uri(bucket, layout.slices_manifest_key(run)),
            "SnapshotDigest": snapshot["Digest"],
            "Slices": len(snapshot["Slices"]),
            "Champion": _champion(champion, self.models_bucket) if champion else {},
        }


def _patients(contents: list[Content]) -> list[tuple[str, str]]:
    """PatientID and issuer of each slice, as a split must tell patients apart.

    Where some slice names a PatientID without its issuer, it may be the patient of any issuer: all slices with that
    PatientID then count as one patient's, so that none is on two sides of a split.
    """
    said = [(one.instance.patient_id, one.instance.issuer_of_patient_id) for one in contents]
    without = {patient_id for patient_id, issuer in said if not issuer}
    return [
        (patient_id, "" if patient_id in without else issuer) if patient_id else (one.instance.study_instance_uid, "")
        for one, (patient_id, issuer) in zip(contents, said, strict=True)
    ]


def _unreadable(entry: Entry, why: str) -> Reason:
    message = f"Line {entry.line}: {why}"
    return Reason(code=LabelProblem.UNREADABLE_HEADER, message=message, line=entry.line)


def _divide(contents: list[Content], patients: list[str], seed: int) -> tuple[SplitBy, list[Split]]:
    return split.divide(
        [
            Labelled(
                content_sha256=one.sha256,
                label=one.entry.label,
                patient=patient,
                study_instance_uid=one.instance.study_instance_uid,
                series_instance_uid=one.instance.series_instance_uid,
            )
            for one, patient in zip(contents, patients, strict=True)
        ],
        seed,
    )


def _champion(champion: Champion, models_bucket: str) -> dict[str, str]:
    return {
        "ModelPackage": champion.model_package,
        "ModelPackageArn": champion.model_package_arn,
        "ArtifactUri": layout.uri(models_bucket, layout.artifact_key(champion.artifact_sha256)),
        "ArtifactSHA256": champion.artifact_sha256,
        "PromotedAt": champion.promoted_at,
    }


def _refusal(run: str, reasons: tuple[Reason, ...]) -> dict[str, Any]:
    return {
        "Taken": False,
        "Run": run,
        "Reasons": trimmed(reasons),
        "AcceptedRisks": [],
        "Seed": "0",
        "HyperParameters": {},
        "SnapshotUri": "",
        "SlicesManifestUri": "",
        "SnapshotDigest": "",
        "Slices": 0,
        "Champion": {},
    }
