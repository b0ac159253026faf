"""Studies over the AWS in memory: senders send slices, jobs answer them, sweeps close studies."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from functions.aws.events import ObjectCreated
from functions.domain.champion import Withdrawal
from functions.domain.row import Row, timestamp
from functions.domain.study import Revision, Study
from tests.fakes.dicom import STUDY, ct
from tests.fakes.workflow import Workflow
from tests.fakes.world import PATIENCE, RESULTS, World, answer

QUIET = PATIENCE.study_quiet_seconds
SERIES = "1.2.840.99.1.2"
LESION = {"normal": 0.1, "cap": 0.1, "covid": 0.8}
NORMAL = {"normal": 0.8, "cap": 0.1, "covid": 0.1}


class ReadingRoom(World):
    """A world whose jobs answer each object with the probabilities that it was sent with; NORMAL if none were given."""

    def __init__(self, **world: Any) -> None:
        super().__init__(**world)
        self.answers: dict[str, dict[str, float]] = {}
        self.grids: dict[str, Any] = {}
        self.set_champion()

    def send(self, number: int, probabilities: dict[str, float] | None = None, **attributes: Any) -> ObjectCreated:
        """Put a slice with this InstanceNumber into the uploads bucket, without its event's delivery.

        ``grid`` is that of its answer.
        """
        series, study = attributes.pop("series", SERIES), attributes.pop("study", STUDY)
        values = {
            "StudyInstanceUID": study,
            "SeriesInstanceUID": series,
            "SOPInstanceUID": f"{series}.{number}",
            "InstanceNumber": number,
            "ImagePositionPatient": [0, 0, 2.5 * number],
        }
        grid = attributes.pop("grid", None)
        key = attributes.pop("key", f"{study}/{series}/{number}-{len(self.s3.versions)}.dcm")
        body = ct(**(values | attributes))
        self.answers[hashlib.sha256(body).hexdigest()] = probabilities or NORMAL
        self.grids[hashlib.sha256(body).hexdigest()] = grid
        return self.upload(key, body)

    def deliver(self, *events: ObjectCreated) -> list[Row]:
        """Ingest events in one invocation."""
        rows = [self.ingesting.take(event) for event in events]
        self.ingesting.touch(rows)
        return rows

    def read(self, at_most: int = 10) -> None:
        """Let jobs answer everything that is pending."""
        for _ in range(at_most):
            if not (started := self.dispatching.run()):
                return
            for name in started:
                self.sagemaker.end(name, self._answer)
                self.collecting.collect(name)

    def _answer(self, body: bytes) -> bytes:
        digest = hashlib.sha256(body).hexdigest()
        probabilities, grid = self.answers[digest], self.grids.get(digest)
        more = {"Grid": grid} if grid else {}
        return answer(
            body, Probabilities=probabilities, Class=max(probabilities, key=probabilities.__getitem__), **more
        )

    def withdraw(self, workflow: Workflow) -> None:
        """Take the champion back, make the first version champion again, and mark the results."""
        current = self.champions.get()
        assert current
        now = timestamp(self.time)
        back = replace(current, model_package="wetread/1", promoted_at=now, previous="")
        withdrawal = Withdrawal(model_package=current.model_package, withdrawn_at=now, reason="")
        assert self.champions.move(back, current, withdrawal)
        workflow.withdrawing.mark(current.model_package)

    def sweep(self, seconds: float = QUIET) -> None:
        """Wait, then close what is due."""
        self.wait(seconds)
        concluded = self.concluding.run()
        assert not concluded.failures

    def study(self, study: str = STUDY) -> Study:
        found = self.studies.get(study)
        assert found is not None
        return found

    def revisions(self, study: str = STUDY) -> list[Revision]:
        return self.studies.revisions(study)

    def document(self, study: str = STUDY) -> dict[str, Any]:
        """Return the document of the last revision."""
        found: dict[str, Any] = json.loads(self.s3.objects[RESULTS, self.revisions(study)[-1].result_key])
        return found
