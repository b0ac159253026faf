"""What a schedule is made of, whoever draws it: uploads, events, invocations, jobs; and what must hold throughout."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from functions.aws.champion import Withdrawal
from functions.aws.events import ObjectCreated
from functions.domain import layout
from functions.domain.errors import RefusalCode
from functions.domain.row import Status, timestamp
from functions.flow.intake import MOST_TRIES
from functions.flow.marking import SETTLED_SECONDS
from tests.fakes.dicom import ct
from tests.fakes.workflow import Workflow
from tests.fakes.world import RESULTS, World
from tests.storm.actors import Actor, Crash, acting, skew

ACTORS = 8  # invocations at once
FIRST, SECOND = "wetread/1", "wetread/2"
WRITES = frozenset({"put_item", "update_item", "delete_item", "transact_write_items"})
TERMINAL = frozenset(status for status in Status if status.terminal)


@dataclass(frozen=True)
class Delivery:
    """One message of the uploads queue, and how often SQS has given it."""

    event: ObjectCreated
    number: int = 1


class Schedule:
    """Invocations over one world in memory; ``disturb(operation, when)`` is called on their turns, around each call."""

    def __init__(self, **world: Any) -> None:
        self.calm = False
        self.world = World(interfere=self._interfere, **world)
        self.world.skew = skew
        self.slots = self.world.dispatching.limits.slots
        self.actors: list[Actor] = []
        self.queue: list[Delivery] = []
        self.cut_off: Counter[str] = Counter()
        self.bodies: dict[str, bytes] = {}
        self.poison: set[bytes] = set()
        self.final: dict[str, Mapping[str, Any]] = {}
        self.withdrawing = Workflow(self.world).withdrawing
        self.withdrawn = False
        self.calls = 0
        self.written_at = self.world.time

    def disturb(self, operation: str, when: str) -> None:
        """Raise what befalls the call; a driver's to say."""

    def _interfere(self, operation: str, when: str) -> None:
        actor = acting()
        if actor is None:
            return
        self.calls += when == "before"
        if when == "after" and operation in WRITES:
            self.written_at = self.world.time
        actor.pause()
        if not self.calm:
            self.disturb(operation, when)

    def upload(self, number: int, *, poison: bool, times: int) -> None:
        """Put one object, whose event comes ``times`` times; poison kills every job that it is in."""
        body = ct(SOPInstanceUID=f"1.2.{number}")
        event = self.world.upload(f"{number}.dcm", body)
        self.bodies[layout.upload_id(event.key, event.version_id)] = body
        self.poison |= {body} if poison else set()
        self.queue += [Delivery(event)] * times

    @property
    def room(self) -> bool:
        """Whether one more invocation may run."""
        return len(self.actors) < ACTORS

    def start(self, work: Callable[[], object], off: timedelta = timedelta()) -> None:
        """A new invocation, if there is room; otherwise the event is lost."""
        if self.room:
            self.actors.append(Actor(work, off))

    def ingest(self, message: Delivery) -> None:
        """What the function ingest does with one message, which SQS delivers again if it was not acknowledged."""
        event = message.event
        try:
            row = self.world.intake.take(event, delivery=message.number)
            if row.status == Status.PENDING:
                self.world.ticks.send(self.world.time)
        except BaseException as error:
            self.queue.append(Delivery(event, message.number + 1))
            self.cut_off[layout.upload_id(event.key, event.version_id)] += isinstance(error, Crash)
            raise

    def withdraw(self, rescored: Callable[[int], bool]) -> None:
        """Take the second model back, mark its results, and let the first read some of them again."""
        champions, now = self.world.champions, timestamp(self.world.time)
        current = champions.get()
        if current and current.model_package == SECOND:
            back = replace(current, model_package=FIRST, promoted_at=now, previous="")
            withdrawal = Withdrawal(model_package=SECOND, withdrawn_at=now, reason="")
            if not champions.move(back, current, withdrawal):
                return
        self.withdrawing.mark(SECOND)
        for row in list(self.withdrawing.results(SECOND)):
            if rescored(int(row.key.removesuffix(".dcm"))):
                self.withdrawing.rescore(row)
        self.withdrawing.wake()
        self.withdrawn = True

    def step(self, actor: Actor) -> None:
        """One turn of an invocation, and a look at everything after it; raise what it did not bear."""
        actor.step()
        if actor.finished:
            self.actors.remove(actor)
            if actor.error and "Throttling" not in str(actor.error):
                raise actor.error
        self.check()

    def members(self, job: str) -> list[bytes]:
        """The bodies of the objects in a live job."""
        return [self.bodies[layout.upload_of_instance(one)] for one in self.world.sagemaker.live()[job]]

    def check(self) -> None:
        """What must hold after every AWS call."""
        live = self.world.sagemaker.live()
        assert len(live) <= self.slots
        members = [member for job in live.values() for member in job]
        assert len(members) == len(set(members)), "an upload is in two live jobs"
        rows = self.world.dynamodb.tables["index"]
        for upload_id, before in list(self.final.items()):
            now = rows[upload_id]
            if now is not before and now != before:
                assert _only_withdrawn(before, now), "a terminal row changed"
                del self.final[upload_id]
        for upload_id, item in rows.items():
            if item["Status"]["S"] in TERMINAL:
                self.final.setdefault(upload_id, item)

    @property
    def quiescent(self) -> bool:
        """Nothing moves any more, and every upload has ended."""
        done = len(self.final) == len(self.bodies)
        return done and not self.queue and not self.actors and not self.world.sagemaker.live()

    def settle(self) -> None:
        """After all: nothing is held, the poison failed, the rest has its own answer, marked if it was withdrawn."""
        self.calm = True
        self.world.wait(SETTLED_SECONDS)
        self.world.sweeping.run()
        assert self.world.batches.holders() == {}
        for row in self.world.rows():
            body = self.bodies[row.upload_id]
            if row.status == Status.REFUSED:
                assert row.code == RefusalCode.INGEST_FAILED
                assert self.cut_off[row.upload_id] >= MOST_TRIES, "an upload was refused before its tries were used"
                continue
            assert row.status in ({Status.FAILED} if body in self.poison else {Status.COMPLETED, Status.FAILED})
            if row.status == Status.COMPLETED:
                result = json.loads(self.world.s3.objects[RESULTS, row.prediction_key or ""])
                assert result["ContentSHA256"] == hashlib.sha256(body).hexdigest()
                assert result["ModelPackage"] == row.model_package
                marked = self.withdrawn and row.model_package == SECOND
                assert bool(row.withdrawn_at) == marked, "a mark is missing, or one too many"
            if row.status == Status.FAILED:
                assert row.attempt >= 2, "an upload failed before its tries were used"


def _only_withdrawn(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a terminal row changed as results of the second model may: marked, or read again."""
    if before["ModelPackage"]["S"] != SECOND or before["Status"]["S"] != Status.COMPLETED:
        return False
    requeued = now.get("RequeuedAt") != before.get("RequeuedAt") and now["Status"]["S"] == Status.PENDING
    return requeued or now == {**before, "WithdrawnAt": now["WithdrawnAt"]}
