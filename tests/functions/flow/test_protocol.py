"""Random schedules over the real code: crashes at AWS calls, repeated, late, lost events, zombies, stale reads, skew.

In the midst of it a second model is promoted and, later, withdrawn: its results are marked and some are read again.

Every actor runs in a thread that gives its turn away before and after each AWS call, so a seed is one exact schedule.
WETREAD_SCHEDULES sets how many seeds are run.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.aws.champion import Withdrawal
from functions.aws.events import ObjectCreated
from functions.domain import layout
from functions.domain.row import Row, Status, timestamp
from functions.flow.marking import SETTLED_SECONDS
from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from tests.fakes.workflow import Workflow
from tests.fakes.world import RESULTS, World, answer

SCHEDULES = int(os.environ.get("WETREAD_SCHEDULES", "200"))

ACTORS = 8  # invocations at once
SKEW_SECONDS = 5.0  # how far the clocks of two hosts differ, as a standard deviation: far more than AWS's do
FIRST, SECOND = "wetread/1", "wetread/2"


def _skew_of_actor() -> timedelta:
    """How far the clock of the invocation that asks is off; nobody else's is."""
    actor = getattr(threading.current_thread(), "actor", None)
    return actor.skew if actor else timedelta()


class Crash(BaseException):
    """A Lambda environment dies between two instructions."""


class SerialPool:
    """In place of a thread pool: an actor must be one thread to have one turn."""

    def __init__(self, _workers: int) -> None: ...

    def __enter__(self) -> SerialPool:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        return map(function, items)


class Actor:
    """One Lambda invocation, advanced one AWS call at a time."""

    def __init__(self, work: Callable[[], object], skew: timedelta) -> None:
        self.skew = skew
        self.crashed = False
        self.error: Exception | None = None
        self._turn = threading.Semaphore(0)
        self._done = threading.Semaphore(0)
        self.finished = False
        self.wakes_at = datetime.min.replace(tzinfo=UTC)
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.actor = self  # type: ignore[attr-defined]
        self._thread.start()

    def _run(self, work: Callable[[], object]) -> None:
        self._turn.acquire()
        try:
            work()
        except Crash:
            self.crashed = True
        except Exception as error:
            self.error = error
        self.finished = True
        self._done.release()

    def step(self) -> None:
        self._turn.release()
        self._done.acquire()

    def pause(self) -> None:
        self._done.release()
        self._turn.acquire()


class Storm:
    """One schedule: who runs next, who dies, which events repeat, is all the seed's."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.calm = False
        self.world = World(
            slots=rng.randint(1, 3),
            max_batch=rng.choice([3, 8, 50]),
            parallel_threshold=rng.choice([1, 4]),
            interfere=self._interfere,
            lagging=lambda: not self.calm and rng.random() < 0.2,
        )
        self.world.skew = _skew_of_actor
        self.slots = self.world.dispatching.limits.slots
        self.actors: list[Actor] = []
        self.poison: set[bytes] = set()
        self.queue: list[ObjectCreated] = []
        self.final: dict[str, Row] = {}
        self.bodies: dict[str, bytes] = {}
        self.last_sweep = self.world.time
        self.withdrawing = Workflow(self.world).withdrawing
        self.withdraws_at = rng.randint(600, 3000)
        self.withdrawn = False
        self.rescored = {number for number in range(100) if rng.random() < 0.5}

    def _interfere(self, operation: str, when: str) -> None:
        actor = getattr(threading.current_thread(), "actor", None)
        if actor is None:
            return
        actor.pause()
        if self.calm:
            return
        if self.rng.random() < 0.01:
            raise Crash
        if when == "before" and self.rng.random() < 0.01:
            raise client_error("ThrottlingException", operation)

    def run(self, uploads: int) -> None:
        for number in range(uploads):
            body = ct(SOPInstanceUID=f"1.2.{number}")
            if self.rng.random() < 0.05:
                self.poison.add(body)
            event = self.world.upload(f"{number}.dcm", body)
            self.bodies[layout.upload_id(event.key, event.version_id)] = body
            self.queue += [event] * self.rng.choice([1, 2, 3, 4])
        self.rng.shuffle(self.queue)
        for step in range(40_000):
            self.calm = step > 15_000
            self._advance()
            self._check()
            if step == 200:
                self.world.crown(FIRST)
            if step == 500:
                self.world.crown(SECOND)
            if step > self.withdraws_at and not self.withdrawn and (step % 50 == 0 or self.calm):
                self._start(self._withdraw)  # again after a crash: a person repeats the command
            done = len(self.final) == uploads and self.withdrawn
            if done and not self.queue and not self.actors and not self.world.sagemaker.live():
                break
        else:
            waiting = [row for row in self.world.rows() if not row.status.terminal]
            raise AssertionError(f"no quiescence: {waiting}, {self.queue}, {self.world.sagemaker.live()}")
        self._settle()

    def _advance(self) -> None:
        rng, world = self.rng, self.world
        world.wait(rng.random() * (1 if self.actors else 60) * (10 if rng.random() < 0.05 else 1))
        if self.queue and len(self.actors) < ACTORS and rng.random() < 0.3:
            self._ingest(self.queue.pop())
        if world.queue.sent and rng.random() < 0.3:
            sent_at, _ = world.queue.sent[0]
            if (world.time - sent_at).total_seconds() > 25:
                world.queue.sent.pop(0)
                if rng.random() < 0.9:  # a tick may be lost
                    self._start(world.dispatching.run)
        if rng.random() < 0.01:
            self._start(world.dispatching.run)  # a tick delivered twice
        if (world.time - self.last_sweep).total_seconds() > 60:
            self.last_sweep = world.time
            self._start(world.sweeping.run)
        self._end_jobs()
        self._step_one()

    def _step_one(self) -> None:
        rng, world = self.rng, self.world
        awake = [actor for actor in self.actors if actor.wakes_at <= world.time]
        if awake:
            actor = rng.choice(awake)
            actor.step()
            if rng.random() < 0.03 and not self.calm:  # a zombie: it goes on when others have long taken over
                actor.wakes_at = world.time + timedelta(seconds=rng.random() * 600)
            if actor.finished:
                self.actors.remove(actor)
                if actor.error and "Throttling" not in str(actor.error):
                    raise actor.error

    def _withdraw(self) -> None:
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
            if int(row.key.removesuffix(".dcm")) in self.rescored:
                self.withdrawing.rescore(row)
        self.withdrawing.wake()
        self.withdrawn = True

    def _ingest(self, event: ObjectCreated) -> None:
        def deliver() -> None:
            try:
                row = self.world.intake.take(event)
                if row.status == Status.PENDING:
                    self.world.ticks.send(self.world.time)
            except BaseException:
                self.queue.append(event)  # SQS delivers again what was not acknowledged
                raise

        self._start(deliver)

    def _start(self, work: Callable[[], object]) -> None:
        if len(self.actors) < ACTORS:
            self.actors.append(Actor(work, timedelta(seconds=self.rng.gauss(0, SKEW_SECONDS))))

    def _end_jobs(self) -> None:
        rng, world = self.rng, self.world
        for name in list(world.sagemaker.live()):
            if rng.random() > 0.02:
                continue
            luck = 1.0 if self.calm else rng.choice([1.0, 1.0, 0.7, 0.0])
            crashes = rng.random() < 0.5 and any(body in self.poison for body in self._bodies(name))

            def container(body: bytes, luck: float = luck, crashes: bool = crashes) -> bytes | None:
                if crashes or body in self.poison or rng.random() > luck:
                    return None
                return answer(body if self.calm or rng.random() < 0.98 else b"of another object")

            world.sagemaker.end(name, container, reason=rng.choice(["AlgorithmError", "CapacityError: none"]))
            for _ in range(rng.choice([0, 1, 1, 2])):
                self._start(lambda name=name: world.collecting.collect(name))  # type: ignore[misc]

    def _bodies(self, name: str) -> list[bytes]:
        return [self.bodies[layout.upload_of_instance(one)] for one in self.world.sagemaker.live()[name]]

    def _check(self) -> None:
        """What must hold after every single step."""
        live = self.world.sagemaker.live()
        assert len(live) <= self.slots
        members = [member for job in live.values() for member in job]
        assert len(members) == len(set(members)), "an upload is in two live jobs"
        for upload_id, before in list(self.final.items()):
            now = self.world.dynamodb.tables["index"][upload_id]
            if now != before:
                assert before["ModelPackage"]["S"] == SECOND, "a terminal row changed"
                assert before["Status"]["S"] == Status.COMPLETED, "a terminal row changed"
                requeued = now.get("RequeuedAt") != before.get("RequeuedAt") and now["Status"]["S"] == Status.PENDING
                assert requeued or now == before | {"WithdrawnAt": now["WithdrawnAt"]}, "a terminal row changed"
                del self.final[upload_id]
        for upload_id, item in self.world.dynamodb.tables["index"].items():
            if Status(item["Status"]["S"]).terminal:
                self.final.setdefault(upload_id, item)

    def _settle(self) -> None:
        """After the storm: nothing is held, the poison has failed, and all the rest has its own answer.

        And every answer of the withdrawn model is marked, no other is.
        """
        self.calm = True
        self.world.wait(SETTLED_SECONDS)
        self.world.sweeping.run()
        assert self.world.batches.holders() == {}
        for row in self.world.rows():
            body = self.bodies[row.upload_id]
            expected = {Status.FAILED} if body in self.poison else {Status.COMPLETED, Status.FAILED}
            assert row.status in expected
            if row.status == Status.COMPLETED:
                result = json.loads(self.world.s3.objects[RESULTS, row.prediction_key or ""])
                assert result["ContentSHA256"] == hashlib.sha256(body).hexdigest()
                assert result["ModelPackage"] == row.model_package
                assert bool(row.withdrawn_at) == (row.model_package == SECOND), "a mark is missing, or one too many"
            if row.status == Status.FAILED:
                assert row.attempt >= 2, "an upload failed before its tries were used"


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_no_schedule_loses_doubles_or_strands_an_upload(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.flow.collecting.ThreadPoolExecutor", SerialPool)
    monkeypatch.setattr("functions.flow.marking.ThreadPoolExecutor", SerialPool)
    monkeypatch.setattr("functions.aws.batches.time.sleep", lambda _seconds: None)
    monkeypatch.setattr("functions.flow.collecting.CHUNK", 3)
    monkeypatch.setattr("functions.aws.batches.CLAIM_CHUNK", 2)  # more steps, more chances to be overtaken
    Storm(seed).run(uploads=random.Random(seed).randint(5, 25))
