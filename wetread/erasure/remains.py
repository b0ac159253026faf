"""What an erasure leaves, for how long, and why: copies for recovery, logs, and trained models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wetread.connection import Connection


@dataclass(frozen=True)
class Remaining:
    """One thing that stays."""

    what: str
    how_long: str
    why: str

    def to_json(self) -> dict[str, str]:
        """Return the same for programs."""
        return {"What": self.what, "HowLong": self.how_long, "Why": self.why}


def remaining(connection: Connection, runs: list[str]) -> list[Remaining]:
    """Return what stays after the erasure of a subject with slices in the training ``runs``."""
    return [*_models(connection, runs), *_always(connection)]


def _models(connection: Connection, runs: list[str]) -> list[Remaining]:
    """Return the model versions of the runs, and those runs that made none."""
    if not runs:
        return []
    champion = connection.champions.get()
    versions = {one.run: one.model_package for one in connection.registry.versions() if one.run}
    found = []
    for run in runs:
        package = versions.get(run, "")
        serving = ", the champion" if champion and champion.model_package == package else ""
        what = f"{package}{serving}, run {run}" if package else f"what run {run} made"
        why = "Weights cannot be made to forget: train again without them, promote, and delete this version."
        found.append(Remaining(f"Trained weights: {what}", "until you delete them", why))
    return found


def _always(connection: Connection) -> list[Remaining]:
    days: dict[str, Any] = connection.client("dynamodb").describe_continuous_backups(
        TableName=connection.deployment.index_table_name
    )["ContinuousBackupsDescription"]
    window = days.get("PointInTimeRecoveryDescription", {}).get("RecoveryPeriodInDays", 35)
    return [
        Remaining("Rows, in point-in-time recovery", f"{window} days", "After a restore, erase again."),
        Remaining("Your own backups, replicas and exports", "as you decided", "The service does not know of them."),
        Remaining("S3 access logs", "400 days", "They name object keys, and so does CloudTrail where you record S3."),
        Remaining("Executions of the training workflow", "90 days", "Step Functions keeps inputs: the labels' key."),
        Remaining("Batches' lists of uploads", "90 days", "Hashes of keys, without any content."),
        Remaining("Parts of incomplete uploads", "2 days", "Under other keys: parts do not name a subject."),
        Remaining("Gravestones of the uploads", "30 days", "A hash each: a late event finds that it was erased."),
        Remaining("The record of this erasure", "for good", "Who, when, how much; of whom by keyed hash only."),
        Remaining("Logs of functions and jobs", "as your stage keeps them", "They hold upload ids, no patient."),
        Remaining("Figures of evaluations", "with their run", "Counts over all patients, no slice of one."),
        Remaining("Other files below cohorts/", "until you delete them", "Only DICOM objects and labels are known."),
    ]
