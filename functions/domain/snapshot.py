"""The ``snapshot/1`` document: every slice of a run, pinned by version and content, with label, split and patient."""

from __future__ import annotations

import enum
import hashlib
import json
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.domain.errors import MalformedDocument
from functions.domain.slices import LabelledSlice, Split
from functions.domain.verdict import Places

SCHEMA = "snapshot/1"
ERASED = "Erased"  # says how many entries were erased since, and when last
UNDIGESTED = ("Digest", "CreatedAt")  # the digest is of what a snapshot pins, not of when it was taken


class SplitBy(enum.StrEnum):
    """How slices were divided: by whole patients, by single slices (too few patients), or by the manifest."""

    PATIENT = "Patient"
    SLICE = "Slice"
    MANIFEST = "Manifest"


@dataclass(frozen=True, kw_only=True)
class Source:
    """The frozen manifest: its URI, version and the SHA-256 (hex) of its bytes."""

    uri: str
    version_id: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class PinnedWeights:
    """The weights that the training starts from: where a person put them, which version, and the copy that it reads.

    ``sha256`` is of their bytes (hex), ``licence`` the text that the person gave.
    """

    source_uri: str
    version_id: str
    uri: str
    sha256: str
    licence: str

    def as_dict(self) -> dict[str, str]:
        """Return the document's record."""
        return {
            "SourceUri": self.source_uri,
            "VersionId": self.version_id,
            "Uri": self.uri,
            "SHA256": self.sha256,
            "Licence": self.licence,
        }


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A run's data, as the gates need them; ``places`` is what the entries of its labels file are called."""

    digest: str
    places: Places
    labels: tuple[str, ...]
    split_by: SplitBy
    slices: tuple[LabelledSlice, ...]
    folds: int = 0  # 0: a test part instead

    def test_patients(self) -> dict[str, set[str]]:
        """Return the patients of each class on whom models are tested: the test part's, or with folds all."""
        tested = [one for one in self.slices if one.fold or one.split is Split.TEST]
        return {label: {one.patient for one in tested if one.label == label} for label in self.labels}


def document_of(
    slices: Sequence[LabelledSlice],
    *,
    labels: Sequence[str],
    seed: int,
    split_by: SplitBy,
    source: Source,
    created_at: str,
    initial_weights: PinnedWeights | None = None,
    folds: int = 0,
) -> dict[str, Any]:
    """Return the snapshot/1 document with its digest; ``folds`` is 0 where there is a test part."""
    document = (
        {
            "Schema": SCHEMA,
            "Labels": list(labels),
            "Seed": seed,
            "SplitBy": split_by,
            "Source": {"Uri": source.uri, "VersionId": source.version_id, "SHA256": source.sha256},
            "Slices": [_entry(one) for one in slices],
        }
        | ({"InitialWeights": initial_weights.as_dict()} if initial_weights else {})
        | ({"Folds": folds} if folds else {})
    )
    return document | {"Digest": digest_of(document), "CreatedAt": created_at}


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of the canonical JSON of everything that the document pins."""
    pinned = {name: value for name, value in document.items() if name not in UNDIGESTED}
    return hashlib.sha256(json.dumps(pinned, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read(body: bytes | None, digest: str) -> Snapshot:
    """Return the snapshot that a run left, raise MalformedDocument if it is gone (None) or another."""
    if body is None:
        raise MalformedDocument("The run's snapshot is gone; start the run again.")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedDocument("The run's snapshot is not JSON; start the run again.") from error
    return parse(document, digest)


def parse(document: Any, expected_digest: str) -> Snapshot:
    """Read a snapshot back; raise MalformedDocument if its digest is not the run's."""
    try:
        if document["Schema"] != SCHEMA:
            raise MalformedDocument(f"The snapshot's Schema is {reprlib.repr(document['Schema'])}, not {SCHEMA}.")
        if ERASED in document:
            raise MalformedDocument(
                f"{document[ERASED]['Slices']} slice(s) of the snapshot were erased on {document[ERASED]['At']}, so it "
                "is no longer what the run is about. Start the run again."
            )
        digest = digest_of(document)
        if digest != expected_digest or document["Digest"] != digest:
            raise MalformedDocument(
                f"The snapshot has the digest {digest[:12]}…, the run is about {expected_digest[:12]}…: it was changed "
                "after it was taken. Start the run again."
            )
        return Snapshot(
            digest=digest,
            places=Places.of(str(document["Source"]["Uri"])),
            labels=tuple(map(str, document["Labels"])),
            split_by=SplitBy(document["SplitBy"]),
            slices=tuple(_slice(entry) for entry in document["Slices"]),
            folds=int(document.get("Folds", 0)),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise MalformedDocument(
            f"The snapshot is no {SCHEMA} document: it fails with {type(error).__name__}."
        ) from error


@dataclass(frozen=True, kw_only=True)
class PatientsByPart:
    """Patients, by keyed hash: with all their slices in the test part, with some of them, and with some elsewhere."""

    tested: frozenset[str] = frozenset()
    mixed: frozenset[str] = frozenset()
    trained: frozenset[str] = frozenset()


def patients_by_part(parts: Iterable[tuple[str, Split | None]]) -> PatientsByPart:
    """Return the patients by part, from the patient and the part of each slice."""
    tested: set[str] = set()
    trained: set[str] = set()
    for patient, part in parts:
        (tested if part is Split.TEST else trained).add(patient)
    return PatientsByPart(
        tested=frozenset(tested - trained), mixed=frozenset(tested & trained), trained=frozenset(trained)
    )


def patients_of(document: Any) -> PatientsByPart:
    """Return the patients of an earlier run's snapshot, as far as they were not erased; raise MalformedDocument."""
    try:
        return patients_by_part((str(entry["Patient"]), Split(entry["Split"])) for entry in document["Slices"])
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedDocument(
            f"The snapshot is no {SCHEMA} document: it fails with {type(error).__name__}."
        ) from error


def _entry(one: LabelledSlice) -> dict[str, Any]:
    return {
        "Line": one.line,
        "Slice": one.name,
        "VersionId": one.version_id,
        "ContentSHA256": one.content_sha256,
        "Label": one.label,
        "Split": one.split,
        "Patient": one.patient,
        "StudyInstanceUID": one.study_instance_uid,
        "SeriesInstanceUID": one.series_instance_uid,
    } | {name: value for name, value in _optional(one) if value}


def _optional(one: LabelledSlice) -> tuple[tuple[str, Any], ...]:
    return ("Retrained", one.retrained), ("Fold", one.fold), ("StudyLabel", one.study_label)


def _slice(entry: Mapping[str, Any]) -> LabelledSlice:
    return LabelledSlice(
        line=entry["Line"],
        name=entry["Slice"],
        version_id=entry["VersionId"],
        content_sha256=entry["ContentSHA256"],
        label=entry["Label"],
        split=Split(entry["Split"]),
        patient=entry["Patient"],
        study_instance_uid=entry["StudyInstanceUID"],
        series_instance_uid=entry["SeriesInstanceUID"],
        retrained=bool(entry.get("Retrained", False)),
        fold=int(entry.get("Fold", 0)),
        study_label=entry.get("StudyLabel", ""),
    )
