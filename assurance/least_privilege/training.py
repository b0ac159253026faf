"""Stories of retraining: runs of the workflow, its step Promote, and a person's approval."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from assurance.least_privilege.runs import PATIENTS, Runs, told
from assurance.least_privilege.stage import Place
from assurance.least_privilege.story import Seen
from assurance.least_privilege.uploads import STILL_SECONDS, finish
from functions.domain.row import Status
from tests.infra.needs import Statement
from wetread.training.runs import Run

APPROVE, PROMOTE = "TrainingApprove", "TrainingPromote"


class Retraining:
    """A run from its labels on, with some role of the workflow: it does not fail by itself."""

    def __init__(self, place: Place) -> None:
        self._runs = Runs(place)

    @contextmanager
    def ready(self) -> Iterator[None]:
        """At the end, with every statement back, a run promotes what it has trained."""
        yield
        _see_promoted(self._runs.run())

    def tell(self, statement: Statement) -> Seen:
        """Until the run has ended: for some statements one with a patient more, or one that only has to tell people.

        What Step Functions asks of the role when the state machine is deployed is asked by deploying it.
        """
        if "events:PutRule" in statement.actions:
            refused = self._runs.deploy()
            return Seen(bool(refused), f"the deployment: {refused or 'complete'}")
        if statement.actions == ["sns:Publish"]:
            run = self._runs.refused()
        else:
            run = self._runs.run(PATIENTS + 1 if statement.actions == ["kms:GenerateMac"] else PATIENTS)
        return Seen(run.failed, told(run))

    def mend(self) -> None:
        """A run that failed is lost to nobody: it is started again."""


class Promotion:
    """The end of a run. The first one is whole; the others are its last states, asked for the same once more."""

    def __init__(self, place: Place) -> None:
        self._runs = Runs(place)
        self._payload: dict[str, Any] | None = None

    @contextmanager
    def ready(self) -> Iterator[None]:
        """At the end, with every statement back, the candidate of all these runs is promoted after all."""
        yield
        if self._payload:
            _see_promoted(self._runs.promote(self._payload))

    def tell(self, _statement: Statement) -> Seen:
        """Until the run, or its last states, have ended."""
        if self._payload:
            run = self._runs.promote(self._payload)
        else:
            run = self._runs.run()
            self._payload = self._runs.promotion(run)
        return Seen(run.failed, told(run))

    def mend(self) -> None:
        """The next one goes on where this one failed."""


class Approval:
    """A person approves the first model, for which an upload waits. Told in a cloud that has no champion yet."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._version = ""
        self._upload = ""

    @contextmanager
    def ready(self) -> Iterator[None]:
        """A run whose model awaits approval; afterwards it is approved, if it is not, and what waited is read."""
        place = self._place
        place.configure(PROMOTE, APPROVAL="manual")
        run = Runs(place).run()
        place.configure(PROMOTE, APPROVAL="auto")
        if run.outcome != "AwaitingApproval":
            raise RuntimeError(f"A model should await approval; {told(run)}")
        self._version = run.output["ModelPackage"]
        self._upload = place.put()
        place.until(lambda: place.row(self._upload))
        yield
        if not place.connection.registry.champion():
            self._decide("Approved")
            place.until(place.connection.registry.champion)
        finish(place)

    def tell(self, _statement: Statement) -> Seen:
        """Until the function has failed; or until the upload is read that waited."""
        began, place = time.time(), self._place
        self._decide("Approved")
        failure = place.until(lambda: place.error(APPROVE, began) or self._read())
        time.sleep(STILL_SECONDS)
        champion = place.connection.registry.champion()
        standing = f"the champion: {champion.model_package if champion else 'none'}; the upload: {self._standing()}"
        if not champion:  # taken back before its message comes again, for the next statement's sake
            self._decide("Rejected")
        return Seen(not self._read(), f"{failure}; {standing}")

    def mend(self) -> None:
        """The message comes again, and finds nothing to do."""
        self._place.until(lambda: not self._place.unheard("TrainingApprovals"))

    def _standing(self) -> str:
        return self._place.standing(self._upload)

    def _read(self) -> bool:
        return self._standing() == Status.COMPLETED

    def _decide(self, status: str) -> None:
        version = self._place.connection.registry.version(self._version)
        self._place.connection.sagemaker.update_model_package(ModelPackageArn=version.arn, ModelApprovalStatus=status)


def _see_promoted(run: Run) -> None:
    if run.outcome != "Promoted":
        raise RuntimeError(f"With every statement back the run should promote; {told(run)}")
