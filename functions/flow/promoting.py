"""From a candidate that passed the gates to a registered version, and to the champion if it is still comparable."""

from __future__ import annotations

import enum
import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functions.aws.objects import Documents
from functions.aws.registry import ModelVersion, Registry
from functions.domain import against, evaluation, layout
from functions.domain.artifact import Artifact, read_artifact, sha256_of
from functions.domain.champion import champion_changed, is_champion
from functions.domain.errors import InvalidArtifact, MalformedDocument
from functions.domain.evaluation import Evaluation
from functions.domain.evidence import Evidence
from functions.domain.training_run import TrainingRun
from functions.domain.verdict import Reason, Risk, trimmed


class Approval(enum.StrEnum):
    """How a candidate that passed the gates is promoted: by the workflow at once, or by a person."""

    AUTO = "auto"
    MANUAL = "manual"


class RunOutcome(enum.StrEnum):
    """How a run ends after its candidate passed both gates."""

    PROMOTED = "Promoted"
    AWAITING_APPROVAL = "AwaitingApproval"
    REJECTED = "Rejected"


@dataclass(frozen=True, kw_only=True)
class Promoted:
    """The result of promoting: the registered version, and the reasons if it was rejected."""

    outcome: RunOutcome
    version: ModelVersion
    reasons: tuple[Reason, ...] = ()

    def answer(self) -> dict[str, Any]:
        """Return $promotion, as the state machine carries it."""
        return {
            "Outcome": self.outcome,
            "ModelPackage": self.version.model_package,
            "ModelPackageArn": self.version.arn,
            "Reasons": trimmed(self.reasons),
        }


@dataclass(frozen=True, kw_only=True)
class Promoting:
    """Registers and promotes. Every step is safe to repeat: the same run ends in the same version."""

    registry: Registry
    training: Documents
    approval: Approval

    def promote(self, run: TrainingRun, training_job_name: str, artifact_uri: str, artifact_sha256: str) -> Promoted:
        """Register the run's artifact with its evidence, then promote it or leave it to a person.

        ``artifact_sha256`` is the digest (hex) of the artifact that was written and evaluated. Raises InvalidArtifact
        for other bytes, and InvalidArtifact or MalformedDocument if artifact and evaluation are of two candidates.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tar.gz"
            self.training.download(self._key_of(artifact_uri), path)
            found = sha256_of(path)
            if found != artifact_sha256:
                raise InvalidArtifact(
                    f"The artifact {artifact_uri} has the SHA-256 {found}, the run wrote and measured "
                    f"{artifact_sha256}: it was replaced. Find out by whom, then start the run again."
                )
            version = self.registry.register(path, self._evidence(run, training_job_name, read_artifact(path)))
        if self.approval == Approval.MANUAL or self._undecided(run):
            return Promoted(outcome=RunOutcome.AWAITING_APPROVAL, version=version)
        return self._promote(version)

    def _promote(self, version: ModelVersion) -> Promoted:
        """Make the version champion if the one that it was evaluated against still is.

        Reads the champion first, then the history, so that a promotion in between is still seen.
        """
        current = self.registry.champion()
        if self.registry.champions.promotion(version.model_package):
            # An earlier try of this step moved the pointer, and may have died before the approval and the tick.
            if is_champion(current, version.model_package):
                self.registry.after_promotion(version)
            return Promoted(outcome=RunOutcome.PROMOTED, version=version)
        if is_champion(current, version.evaluated_against) and self.registry.set_champion(
            version, current, version.standing
        ):
            return Promoted(outcome=RunOutcome.PROMOTED, version=version)
        reason = champion_changed(version.model_package, version.evaluated_against)
        self.registry.reject(version.arn, reason.message)
        return Promoted(outcome=RunOutcome.REJECTED, version=version, reasons=(reason,))

    def _undecided(self, run: TrainingRun) -> bool:
        """Return whether the model gate found the patients too few to compare: then a person decides by the report."""
        body = self.training.find(layout.model_gate_key(run.run_id))
        if body is None:
            raise MalformedDocument("The run has no verdict of the model gate, so no gate can have let it pass.")
        return any(reason["Code"] == Risk.TOO_FEW_TO_COMPARE for reason in json.loads(body)["Reasons"])

    def _evidence(self, run: TrainingRun, training_job_name: str, artifact: Artifact) -> Evidence:
        key = layout.evaluation_key(run.run_id)
        body = self.training.read_bytes(key)
        measured = evaluation.parse(body, run.snapshot_digest)
        _check_same(artifact, measured)
        if measured.candidate.balanced_accuracy.value is None:
            raise MalformedDocument("The evaluation has no balanced accuracy, so no gate can have let it pass.")
        return Evidence(
            run=run.run_id,
            snapshot_digest=run.snapshot_digest,
            evaluation_sha256=hashlib.sha256(body).hexdigest(),
            evaluation_uri=layout.uri(self.training.bucket, key),
            accepted_risks=run.accepted_risks,
            evaluated_against=run.champion.model_package if run.champion else "",
            balanced_accuracy=measured.candidate.balanced_accuracy.value,
            training_job_name=training_job_name,
            standing=against.standing(measured, run),
        )

    def _key_of(self, artifact_uri: str) -> str:
        bucket, key = layout.parse_uri(artifact_uri)
        if bucket != self.training.bucket:
            raise InvalidArtifact(f"The artifact {artifact_uri} is not in the training bucket {self.training.bucket}.")
        return key


def _check_same(artifact: Artifact, measured: Evaluation) -> None:
    """Raise InvalidArtifact unless the promoted model is the evaluated one."""
    packed = artifact.weights_sha256, sorted(artifact.labels)
    evaluated = measured.candidate.weights_sha256, sorted(measured.labels)
    if packed != evaluated:
        has, had = (f"weights {sha256[:12]}…, classes {', '.join(names)}" for sha256, names in (packed, evaluated))
        raise InvalidArtifact(f"The artifact is of another model ({has}) than the evaluation ({had}).")
