"""Bring the endpoint up, ask it twice with idle seconds between, and take it down."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

from functions.domain.artifact import read_artifact
from wetread.connection import Connection
from wetread.models import artifacts
from wetread.models import endpoint as endpoints
from wetread.models.endpoint import Hosting, Served
from wetread.problems import Problem
from wetread.smoke.phantoms import Marks, slice_of
from wetread.smoke.table import Line

IDLE_SECONDS = 10
"""Longer than uvicorn's default keep-alive of 5 s, after which a pooled connection is reset."""
PREDICTION = "prediction/2"


class Serving:
    """The endpoint of one smoke test. It serves the champion, or without one the candidate of the test's own run."""

    def __init__(
        self,
        connection: Connection,
        marks: Marks,
        candidate: Callable[[], str],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection = connection
        self._marks = marks
        self._candidate = candidate
        self._sleep = sleep

    def lines(self) -> Iterator[Line]:
        """Yield a line for the start, each question, and the end. An endpoint of yours that is up is left alone."""
        what = "CreateModel and the endpoint"
        found = endpoints.find(self._connection)
        if found:
            yield Line.later("B1", what, "InService", f"{found.name} is up already, and was left alone")
            return
        served = self._served()
        if served is None:
            yield Line.later("B1", what, "InService", "there is no champion and no candidate")
            return
        hosting = Hosting(instance_type=self._connection.deployment.instance_type)
        try:
            endpoints.create(self._connection, served, hosting)
            up = endpoints.wait(self._connection)
            yield Line.judged("B1", f"{what} of {served.called}", "InService", up.status, well=True)
            yield self._ask("R9", "answer of the endpoint")
            self._sleep(IDLE_SECONDS)
            yield self._ask("R9", f"answer after {IDLE_SECONDS} idle seconds")
        finally:
            endpoints.delete(self._connection)
        gone = endpoints.find(self._connection) is None
        yield Line.judged("R9", "endpoint taken down", "gone", "gone" if gone else "still there", well=gone)
        yield _gpu_line(hosting)

    def _served(self) -> Served | None:
        registry = self._connection.registry
        champion = registry.champion()
        if champion:
            version = registry.version(champion.model_package)
            return Served(called=version.model_package, artifact_uri=registry.artifact_uri(version))
        if not self._candidate():
            return None
        with artifacts.at_hand(self._connection, self._candidate()) as path:
            artifact = read_artifact(path)
            return Served(called=f"artifact {artifact.sha256[:12]}", artifact_uri=registry.store(artifact))

    def _ask(self, number: str, what: str) -> Line:
        try:
            answer = json.loads(endpoints.invoke(self._connection, slice_of(self._marks, 5)))
        except Problem as problem:
            return Line.judged(number, what, PREDICTION, problem.what, well=False)
        kind = f"{answer.get('Schema')}, {answer.get('Class') or answer.get('Code')}"
        return Line.judged(number, what, f"{PREDICTION} with a class", kind, well=bool(answer.get("Class")))


def _gpu_line(hosting: Hosting) -> Line:
    what, expected = "the GPU is used", "cuda in the endpoint's log"
    why = "look at the log of the endpoint" if hosting.ami_version else f"{hosting.instance_type} has no GPU"
    return Line.later("R5", what, expected, why)
