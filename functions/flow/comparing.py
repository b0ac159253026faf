"""Finds what a run's candidate is compared with, and what earlier runs did with the patients of its cohort.

A candidate is compared with the champion, and with the reference: the last champion that was shown to be better than
its own reference. Each may be as much worse as the margin allows, so without the reference the margins of many
promotions would add up.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from botocore.exceptions import ClientError

from functions.aws.artifacts import Artifacts
from functions.aws.holdout import Holdout
from functions.aws.items import error_code
from functions.aws.objects import Documents
from functions.aws.registry import ModelVersion
from functions.domain import layout
from functions.domain import snapshot as snapshots
from functions.domain.champion import Champion
from functions.domain.errors import MalformedDocument, SnapshotRefused
from functions.domain.snapshot import PatientsByPart, patients_by_part, patients_of
from functions.domain.split import Earlier
from functions.domain.training_run import ComparedChampion, TrainingRun
from functions.domain.verdict import LabelProblem, Reason

logger = logging.getLogger(__name__)

NO_VERSION = frozenset({"ValidationException", "ResourceNotFound"})


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """The champion (None: there is none) and the reference (None: the champion is its own, or it is gone).

    ``known`` are the patients that they were tested and trained on, as far as their snapshots are there.
    """

    champion: ComparedChampion | None = None
    reference: ComparedChampion | None = None
    known: Earlier = Earlier()  # noqa: RUF009 - frozen


@dataclass(frozen=True, kw_only=True)
class Comparing:
    """``describe`` returns a version by its ARN; ``documents`` are those of the runs."""

    describe: Callable[[str], ModelVersion]
    documents: Documents
    artifacts: Artifacts

    def rivals(self, champion: Champion | None) -> Rivals:
        """Return what a candidate is compared with while ``champion`` is the champion.

        Raises SnapshotRefused if its artifact is gone: nothing could be compared with it after the training.
        """
        if champion is None:
            return Rivals()
        if not self.artifacts.is_intact(champion.artifact_sha256):
            message = (
                f"The artifact of the champion {champion.model_package} is gone, or not the one that was promoted, so "
                "no candidate can be compared with it. Roll back or promote another version, then start the run again."
            )
            raise SnapshotRefused([Reason(code=LabelProblem.CHAMPION_GONE, message=message)])
        ours = ComparedChampion(
            model_package=champion.model_package,
            model_package_arn=champion.model_package_arn,
            artifact_uri=self.artifacts.uri(champion.artifact_sha256),
            artifact_sha256=champion.artifact_sha256,
            promoted_at=champion.promoted_at,
            reference=champion.reference,
            behind=champion.behind,
        )
        version = self._version(champion.model_package_arn)
        ours, first = self._with_snapshot(ours, version)
        theirs = self._reference(champion)
        if theirs is None:
            return Rivals(champion=ours, known=Earlier(tested=first.tested, trained=first.trained))
        reference, second = self._with_snapshot(*theirs)
        known = Earlier(tested=first.tested | second.tested, trained=first.trained | second.trained)
        return Rivals(champion=ours, reference=reference, known=known)

    def _reference(self, champion: Champion) -> tuple[ComparedChampion, ModelVersion] | None:
        """Return the reference with its version; None if the champion is its own, or if version or artifact is gone."""
        if champion.reference in {"", champion.model_package}:
            return None
        number = champion.reference.rpartition("/")[2]
        version = self._version(f"{champion.model_package_arn.rpartition('/')[0]}/{number}")
        if version is None or not self.artifacts.is_intact(version.artifact_sha256):
            logger.warning("the reference is gone", extra={"model_package": champion.reference})
            return None
        reference = ComparedChampion(
            model_package=version.model_package,
            model_package_arn=version.arn,
            artifact_uri=self.artifacts.uri(version.artifact_sha256),
            artifact_sha256=version.artifact_sha256,
            promoted_at="",
        )
        return reference, version

    def _version(self, arn: str) -> ModelVersion | None:
        """Return a version; None if the registry has it no more."""
        try:
            return self.describe(arn)
        except ClientError as error:
            if error_code(error) in NO_VERSION:
                return None
            raise

    def _with_snapshot(
        self, one: ComparedChampion, version: ModelVersion | None
    ) -> tuple[ComparedChampion, PatientsByPart]:
        """Return a model with the URI of the snapshot that it was trained on, and the patients of that snapshot.

        Both are empty for a version that a person registered, and where the snapshot is gone.
        """
        key = layout.snapshot_key(version.run) if version and version.run else ""
        body = self.documents.find(key) if key else None
        try:
            found = patients_of(json.loads(body)) if body else PatientsByPart()
        except (MalformedDocument, ValueError, RecursionError):
            logger.warning("the snapshot of a champion cannot be read", extra={"model_package": one.model_package})
            return one, PatientsByPart()
        uri = layout.uri(self.documents.bucket, key) if body else ""
        return replace(one, snapshot_uri=uri), found


@dataclass(frozen=True, kw_only=True)
class Attempting:
    """Counts the runs whose models were measured on the same patients."""

    documents: Documents
    holdout: Holdout

    def count(self, run: TrainingRun) -> int:
        """Record that a run is about to measure its models on its patients; return which attempt it is, from 1.

        Repeatable. Raises MalformedDocument if the run's snapshot is gone or was changed.
        """
        taken = snapshots.read(self.documents.find(layout.snapshot_key(run.run_id)), run.snapshot_digest)
        if taken.folds:
            return self.holdout.note_folds(run.run_id, {one.patient: one.fold for one in taken.slices}, taken.folds)
        parts = patients_by_part((one.patient, one.split) for one in taken.slices)
        return self.holdout.note(run.run_id, parts.tested, parts.mixed)
