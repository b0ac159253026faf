"""Model versions as people see them: which is champion, which is withdrawn, and the properties of one."""

from __future__ import annotations

import concurrent.futures
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.aws.champion import Champions
from functions.aws.registry import ModelVersion
from functions.domain.champion import Champion, Promotion, Withdrawal
from wetread.formats import SYNTHETIC, ago

COLUMNS = ("", "Version", "Name", "Its version", "Balanced accuracy", "Approval", "Created", "Artifact", "By")
READERS = 8


@dataclass(frozen=True)
class Standing:
    """A version and its last promotion, the champion of all (or None), the withdrawal of a withdrawn version."""

    version: ModelVersion
    champion: Champion | None
    withdrawal: Withdrawal | None
    promotion: Promotion | None

    @property
    def is_champion(self) -> bool:
        """Whether new batches use it."""
        return self.champion is not None and self.champion.model_package == self.version.model_package

    def line(self, now: datetime) -> tuple[str, ...]:
        """Return one line of the list, in COLUMNS."""
        version = self.version
        return (
            "champion" if self.is_champion else "withdrawn" if self.withdrawal else "",
            version.model_package,
            f"{SYNTHETIC} {version.name}" if version.synthetic else version.name,
            version.version,
            _accuracy(version),
            version.approval,
            ago(version.created_at, now),
            version.artifact_sha256[:12],
            _short(self.withdrawal.withdrawn_by if self.withdrawal else self._promoted_by),
        )

    @property
    def _promoted_by(self) -> str:
        return self.promotion.promoted_by if self.promotion else ""

    def facts(self) -> list[tuple[str, str]]:
        """Return the version's properties as name and value; its figures are in its evaluation."""
        version = self.version
        facts = {
            "ARN": version.arn,
            "Name": f"{version.name} {version.version}",
            "Seen": "phantoms only, artificial slices without a patient" if version.synthetic else "",
            "Approval": version.approval,
            "Created": version.created_at,
            "Champion": f"since {self.champion.promoted_at}" if self.is_champion and self.champion else "no",
            "Promoted": f"{self.promotion.promoted_at} by {_known(self._promoted_by)}" if self.promotion else "never",
            "Withdrawn": f"{self.withdrawal.withdrawn_at}: {self.withdrawal.reason}" if self.withdrawal else "no",
            "Withdrawn by": _known(self.withdrawal.withdrawn_by) if self.withdrawal else "",
            "Rescored": _rescored(self.withdrawal),
            "Run": version.run or "none: registered by hand",
            "Evaluated against": version.evaluated_against or "no champion",
            "Balanced accuracy": _accuracy(version),
            "Accepted risks": ", ".join(version.accepted_risks) or "none",
            "Snapshot digest": version.snapshot_digest,
            "Artifact SHA-256": version.artifact_sha256,
            "Evaluation": version.evaluation_uri,
        }
        unknown = () if version.run else ("Evaluated against", "Balanced accuracy", "Accepted risks")
        return [(name, value) for name, value in facts.items() if value and name not in unknown]

    def to_json(self) -> dict[str, Any]:
        """Return the version for programs, under AWS-style names; absent values are null."""
        version, withdrawal = self.version, self.withdrawal
        return {
            "ModelPackage": version.model_package,
            "ModelPackageArn": version.arn,
            "ModelApprovalStatus": version.approval,
            "CreatedAt": version.created_at,
            "Name": version.name,
            "Version": version.version,
            "ArtifactSHA256": version.artifact_sha256,
            "Champion": self.is_champion,
            "WithdrawnAt": withdrawal.withdrawn_at if withdrawal else None,
            "WithdrawnBy": (withdrawal and withdrawal.withdrawn_by) or None,
            "WithdrawnReason": withdrawal.reason if withdrawal else None,
            "RescoredAt": (withdrawal and withdrawal.rescored_at) or None,
            "RescoredBy": (withdrawal and withdrawal.rescored_by) or None,
            "PromotedAt": self.promotion.promoted_at if self.promotion else None,
            "PromotedBy": self._promoted_by or None,
            "Run": version.run or None,
            "SnapshotDigest": version.snapshot_digest or None,
            "AcceptedRisks": list(version.accepted_risks),
            "BalancedAccuracy": version.balanced_accuracy,
            "EvaluatedAgainst": version.evaluated_against or None,
            "EvaluationUri": version.evaluation_uri or None,
            "Synthetic": version.synthetic,
        }


def standings(versions: list[ModelVersion], champions: Champions) -> list[Standing]:
    """Return each version's state in words, in the same order."""
    champion = champions.get()
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda version: _standing(version, champion, champions), versions))


def standing_of(version: ModelVersion, champions: Champions) -> Standing:
    """Return one version's state in words."""
    return _standing(version, champions.get(), champions)


def _standing(version: ModelVersion, champion: Champion | None, champions: Champions) -> Standing:
    package = version.model_package
    return Standing(version, champion, champions.withdrawal(package), champions.promotion(package))


def _known(arn: str) -> str:
    return arn or "a person who was not recorded"


def _short(arn: str) -> str:
    """Return the last part of an ARN: a user, or the session of a role, which for a function is its name."""
    return re.split("[:/]", arn)[-1]


def _rescored(withdrawal: Withdrawal | None) -> str:
    if withdrawal is None or not withdrawal.rescored_at:
        return ""
    return f"{withdrawal.rescored_at} by {_known(withdrawal.rescored_by)}"


def _accuracy(version: ModelVersion) -> str:
    return "-" if version.balanced_accuracy is None else f"{version.balanced_accuracy:.3f}"
