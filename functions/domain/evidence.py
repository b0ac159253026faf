"""The training workflow's record of a version, which stays on its ModelPackage."""

from __future__ import annotations

from dataclasses import dataclass, field

from functions.domain.against import Standing


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The origin and figures of a version; ``evaluated_against`` is "" for a first model.

    ``standing`` says what later candidates are compared with, too, once it is champion.
    """

    run: str
    snapshot_digest: str
    evaluation_sha256: str
    evaluation_uri: str
    accepted_risks: tuple[str, ...]
    evaluated_against: str
    balanced_accuracy: float
    training_job_name: str
    standing: Standing = field(default_factory=Standing)

    def properties(self) -> dict[str, str]:
        """Return CustomerMetadataProperties, which must be non-empty and contain no commas."""
        values = {
            "Run": self.run,
            "SnapshotDigest": self.snapshot_digest,
            "EvaluationSHA256": self.evaluation_sha256,
            "AcceptedRisks": " ".join(self.accepted_risks),
            "EvaluatedAgainst": self.evaluated_against,
            "BalancedAccuracy": f"{self.balanced_accuracy:.4f}",
            "TrainingJobName": self.training_job_name,
            "Reference": self.standing.reference,
            "Behind": f"{self.standing.behind:.4f}" if self.standing.reference else "",
        }
        return {name: value for name, value in values.items() if value}
