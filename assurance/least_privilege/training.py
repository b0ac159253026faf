"""Stories of retraining: runs of the workflow, its step Promote, and a person's approval."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from assurance.least_privilege.runs import PATIENTS, Runs, outcome
from assurance.least_privilege.stage import RoleStage
from assurance.least_privilege.story import Seen
from assurance.least_privilege.uploads import STILL_SECONDS, finish
from functions.domain.row import Status
from tests.infra.needs import Statement
from wetread.training.runs import Run

APPROVE, PROMOTE = "TrainingApprove", "TrainingPromote"


class Retraining:
    """A run from its labels on, with some role of the workflow."""

    def __init__(self, stage: RoleStage) -> None:
        self._runs = Runs(stage)

    @contextmanager
    def ready(self) -> Iterator[None]:
        """At the end, with every statement restored, check that a run promotes its model."""
        yield
        _see_promoted(self._runs.run())

    def run(self, statement: Statement) -> Seen:
        """Run the workflow: for some statements with one more patient, or only to its notice.

        For the statement that Step Functions checks at deployment, deploy the state machine.
        """
        if "events:PutRule" in statement.actions:
            refused = self._runs.deploy()
            return Seen(bool(refused), f"the deployment: {refused or 'complete'}")
        if statement.actions == ["sns:Publish"]:
            run = self._runs.refused()
        else:
            run = self._runs.run(PATIENTS + 1 if statement.actions == ["kms:GenerateMac"] else PATIENTS)
        return Seen(run.failed, outcome(run))

    def repair(self) -> None:
        """Nothing to do: a person starts a failed run again."""


class Promotion:
    """The end of a run. The first run is whole; later ones repeat its last states with the same request."""

    def __init__(self, stage: RoleStage) -> None:
        self._runs = Runs(stage)
        self._payload: dict[str, Any] | None = None

    @contextmanager
    def ready(self) -> Iterator[None]:
        """At the end, with every statement restored, check that the candidate of these runs is promoted."""
        yield
        if self._payload:
            _see_promoted(self._runs.promote(self._payload))

    def run(self, _statement: Statement) -> Seen:
        """Run the workflow, or its last states, to the end."""
        if self._payload:
            run = self._runs.promote(self._payload)
        else:
            run = self._runs.run()
            self._payload = self._runs.promotion(run)
        return Seen(run.failed, outcome(run))

    def repair(self) -> None:
        """Nothing to do: the next run repeats the failed states."""


class Approval:
    """A person approves the first model, for which an upload waits; runs in a cloud without a champion."""

    def __init__(self, stage: RoleStage) -> None:
        self._stage = stage
        self._version = ""
        self._upload = ""

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Prepare a model that awaits approval; at the end approve it if necessary, and read waiting uploads."""
        stage = self._stage
        stage.configure(PROMOTE, APPROVAL="manual")
        run = Runs(stage).run()
        stage.configure(PROMOTE, APPROVAL="auto")
        if run.outcome != "AwaitingApproval":
            raise RuntimeError(f"A model should await approval; {outcome(run)}")
        self._version = run.output["ModelPackage"]
        self._upload = stage.put()
        stage.until(lambda: stage.row(self._upload))
        yield
        if not stage.connection.registry.champion():
            self._decide("Approved")
            stage.until(stage.connection.registry.champion)
        finish(stage)

    def run(self, _statement: Statement) -> Seen:
        """Approve, and wait until the function fails or the waiting upload is read."""
        began, stage = time.time(), self._stage
        self._decide("Approved")
        failure = stage.until(lambda: stage.error(APPROVE, began) or self._read())
        time.sleep(STILL_SECONDS)
        champion = stage.connection.registry.champion()
        standing = f"the champion: {champion.model_package if champion else 'none'}; the upload: {self._status()}"
        if not champion:  # undone before the redelivery, for the next statement
            self._decide("Rejected")
        return Seen(not self._read(), f"{failure}; {standing}")

    def repair(self) -> None:
        """Wait for the redelivered message, which finds nothing to do."""
        self._stage.until(lambda: not self._stage.unheard("TrainingApprovals"))

    def _status(self) -> str:
        return self._stage.status(self._upload)

    def _read(self) -> bool:
        return self._status() == Status.COMPLETED

    def _decide(self, status: str) -> None:
        version = self._stage.connection.registry.version(self._version)
        self._stage.connection.sagemaker.update_model_package(ModelPackageArn=version.arn, ModelApprovalStatus=status)


def _see_promoted(run: Run) -> None:
    if run.outcome != "Promoted":
        raise RuntimeError(f"With every statement back the run should promote; {outcome(run)}")
