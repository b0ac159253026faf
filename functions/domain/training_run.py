"""The record of a run that the training workflow passes from state to state: its ``$snapshot``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ComparedChampion:
    """A model that the candidate is compared with: the champion when the snapshot was taken, or its reference.

    ``snapshot_uri`` is the snapshot that it was trained on, "" where that is not known. Of the champion, ``reference``
    is the version that it was compared with ("" for itself), and ``behind`` how far it may be below that.
    """

    model_package: str
    model_package_arn: str
    artifact_uri: str
    artifact_sha256: str
    promoted_at: str
    snapshot_uri: str = ""
    reference: str = ""
    behind: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the model as the state machine carries it."""
        more = {"SnapshotUri": self.snapshot_uri, "Reference": self.reference, "Behind": self.behind}
        return {
            "ModelPackage": self.model_package,
            "ModelPackageArn": self.model_package_arn,
            "ArtifactUri": self.artifact_uri,
            "ArtifactSHA256": self.artifact_sha256,
            "PromotedAt": self.promoted_at,
        } | {name: value for name, value in more.items() if value}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ComparedChampion:
        """Read back what ``to_json`` wrote, also in an earlier release."""
        return cls(
            model_package=document["ModelPackage"],
            model_package_arn=document["ModelPackageArn"],
            artifact_uri=document["ArtifactUri"],
            artifact_sha256=document["ArtifactSHA256"],
            promoted_at=document["PromotedAt"],
            snapshot_uri=document.get("SnapshotUri", ""),
            reference=document.get("Reference", ""),
            behind=float(document.get("Behind", 0)),
        )


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One run of the workflow, once its snapshot is taken or refused.

    ``taken`` is False for a refused run, and ``reasons`` (``verdict.trimmed``) say why; then all below is empty.
    ``slices`` counts them, ``champion`` is None for a stage's first model, and ``reference`` is the best champion so
    far: None if that is the champion, or if its version or artifact is gone. ``initial_weights_uri`` is the prefix of
    the weights that the training starts from, "" without any.
    """

    run_id: str
    taken: bool
    reasons: Sequence[Mapping[str, Any]] = ()
    accepted_risks: tuple[str, ...] = ()
    seed: int = 0
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    snapshot_uri: str = ""
    slices_manifest_uri: str = ""
    snapshot_digest: str = ""
    slices: int = 0
    champion: ComparedChampion | None = None
    reference: ComparedChampion | None = None
    initial_weights_uri: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return ``$snapshot``. The seed is text, as hyperparameters are."""
        weights = {"InitialWeightsUri": self.initial_weights_uri} if self.initial_weights_uri else {}
        reference = {"Reference": self.reference.to_json()} if self.reference else {}
        return {
            "Taken": self.taken,
            "Run": self.run_id,
            "Reasons": list(self.reasons),
            "AcceptedRisks": list(self.accepted_risks),
            "Seed": str(self.seed),
            "HyperParameters": dict(self.hyperparameters),
            "SnapshotUri": self.snapshot_uri,
            "SlicesManifestUri": self.slices_manifest_uri,
            "SnapshotDigest": self.snapshot_digest,
            "Slices": self.slices,
            "Champion": self.champion.to_json() if self.champion else {},
            **reference,
            **weights,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TrainingRun:
        """Read back what ``to_json`` wrote, also by an earlier release: executions run for days."""
        return cls(
            run_id=document["Run"],
            taken=document["Taken"],
            reasons=tuple(document["Reasons"]),
            accepted_risks=tuple(document["AcceptedRisks"]),
            seed=int(document["Seed"]),
            hyperparameters=document["HyperParameters"],
            snapshot_uri=document["SnapshotUri"],
            slices_manifest_uri=document["SlicesManifestUri"],
            snapshot_digest=document["SnapshotDigest"],
            slices=document["Slices"],
            champion=ComparedChampion.from_json(document["Champion"]) if document["Champion"] else None,
            reference=ComparedChampion.from_json(document["Reference"]) if document.get("Reference") else None,
            initial_weights_uri=document.get("InitialWeightsUri", ""),
        )
