"""The ``snapshot/1`` document: every slice of a run, pinned by version and content, with label, split and patient."""

from __future__ import annotations

import enum
import hashlib
import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.domain.errors import MalformedDocument

SCHEMA = "snapshot/1"
ERASED = "Erased"  # what says that entries were erased since: how many, and when last
UNDIGESTED = ("Digest", "CreatedAt")  # a snapshot is what it pins, not when it was taken


class Split(enum.StrEnum):
    """Which part of a run sees a slice."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class SplitBy(enum.StrEnum):
    """How slices were divided: whole patients, single slices (too few patients), or as the manifest says."""

    PATIENT = "Patient"
    SLICE = "Slice"
    MANIFEST = "Manifest"


@dataclass(frozen=True, kw_only=True)
class PinnedSlice:
    """One labelled slice: ``name`` of its pinned copy, ``version_id`` of the object that a person put.

    ``patient`` is the keyed hash of the PatientID, or of the StudyInstanceUID where there is none.
    """

    line: int
    name: str
    version_id: str
    content_sha256: str
    label: str
    split: Split
    patient: str
    study_instance_uid: str
    series_instance_uid: str

    def to_json(self) -> dict[str, Any]:
        """The entry of the document."""
        return {
            "Line": self.line,
            "Slice": self.name,
            "VersionId": self.version_id,
            "ContentSHA256": self.content_sha256,
            "Label": self.label,
            "Split": self.split,
            "Patient": self.patient,
            "StudyInstanceUID": self.study_instance_uid,
            "SeriesInstanceUID": self.series_instance_uid,
        }


@dataclass(frozen=True, kw_only=True)
class Source:
    """The manifest that was frozen: its place, version and the SHA-256 (hex) of its bytes."""

    uri: str
    version_id: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a run is about, as the gates need it."""

    digest: str
    labels: tuple[str, ...]
    split_by: SplitBy
    slices: tuple[PinnedSlice, ...]


def document_of(
    slices: Sequence[PinnedSlice],
    *,
    labels: Sequence[str],
    seed: int,
    split_by: SplitBy,
    source: Source,
    created_at: str,
) -> dict[str, Any]:
    """The snapshot/1 document with its digest."""
    document = {
        "Schema": SCHEMA,
        "Labels": list(labels),
        "Seed": seed,
        "SplitBy": split_by,
        "Source": {"Uri": source.uri, "VersionId": source.version_id, "SHA256": source.sha256},
        "Slices": [one.to_json() for one in slices],
    }
    return document | {"Digest": digest_of(document), "CreatedAt": created_at}


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the canonical JSON of all that the document pins."""
    pinned = {name: value for name, value in document.items() if name not in UNDIGESTED}
    return hashlib.sha256(json.dumps(pinned, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def parse(document: Any, expected_digest: str) -> Snapshot:
    """Read a snapshot back; raise MalformedDocument when it is not the one whose digest the run was given."""
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
            labels=tuple(map(str, document["Labels"])),
            split_by=SplitBy(document["SplitBy"]),
            slices=tuple(_slice(entry) for entry in document["Slices"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise MalformedDocument(
            f"The snapshot is no {SCHEMA} document: it fails with {type(error).__name__}."
        ) from error


def _slice(entry: Mapping[str, Any]) -> PinnedSlice:
    return PinnedSlice(
        line=entry["Line"],
        name=entry["Slice"],
        version_id=entry["VersionId"],
        content_sha256=entry["ContentSHA256"],
        label=entry["Label"],
        split=Split(entry["Split"]),
        patient=entry["Patient"],
        study_instance_uid=entry["StudyInstanceUID"],
        series_instance_uid=entry["SeriesInstanceUID"],
    )
