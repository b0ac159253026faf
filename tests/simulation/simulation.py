"""A random schedule: one seed is one exact schedule, with crashes, zombies, late and repeated events, skew."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.fakes.wire import client_error
from tests.fakes.world import answer, express_limits
from tests.simulation.actors import Crash, in_turns
from tests.simulation.schedule import BOMB, ENDLESS, FIRST, HARMS, POISON, SECOND, STUDIES, Schedule

SKEW_SECONDS = 5.0  # how far the clocks of two hosts differ, as a standard deviation: far more than AWS's do
WRONG_SECONDS = 86_400.0  # how far the clock of a run may be from any other: S3's clock says how long it lasts
CALM_AFTER = 10_000  # steps; without disturbances any schedule ends
MOST_STEPS = 80_000  # most of them wait: a poison object earns a pause of half an hour for each job
LAG = 0.2  # how many queries see an index as it was before the last write
REFUSALS = ("TooManyRequestsException", "ResourceNotFoundException")  # Lambda's, to an invocation
MOST_LAG_SECONDS = 300  # half of what the product allows an index; AWS's lags by fractions of a second


class Simulation(Schedule):
    """One schedule: the seed decides which invocation runs next, which dies, and which events repeat."""

    def __init__(self, seed: int, *, lag: float = LAG, **world: Any) -> None:
        self.rng = rng = random.Random(seed)
        super().__init__(
            slots=rng.randint(1, 3),
            max_batch=rng.choice([3, 8, 50]),
            parallel_threshold=rng.choice([1, 4]),
            max_jobs_per_day=rng.choice([1000, 1000, 1000, 8]),
            express=express_limits(
                express_concurrency=rng.choice([0, 1, 2, 2]),
                express_max=rng.choice([3, 50, 50]),
                express_per_day=rng.choice([1000, 1000, 3]),
            ),
            lagging=lambda: not self.calm and rng.random() < lag and self._written_lately(),
            **world,
        )
        self.last_sweep = self.world.time
        self.promotes_at, self.withdraws_at = rng.randint(100, 600), rng.randint(600, 2400)
        self.erases_at = rng.randint(0, 2000)
        self.deployment = random.Random(-1 - seed)  # apart: all else of a seed is as without
        self.deploys_at: int | None = self.deployment.randint(0, 2000)
        self.crashes = 0
        self.hangs: dict[str, bool] = {}  # job: whether it runs until it is stopped
        self.rescored = {number for number in range(100) if rng.random() < 0.5}

    def _written_lately(self) -> bool:
        return (self.world.time - self.written_at).total_seconds() < MOST_LAG_SECONDS

    def disturb(self, operation: str, when: str) -> None:
        if self.rng.random() < 0.01:
            self.crashes += 1
            raise Crash
        if when == "before" and self.rng.random() < 0.01:
            raise client_error("ThrottlingException", operation)

    def run(self) -> None:
        """Run the whole schedule; raise AssertionError for a broken invariant."""
        with in_turns(self.rng):
            for number in range(self.rng.randint(5, 25)):
                self.world.wait(1)  # no two at once: an index may show such two in any order
                harm = self.rng.choice(HARMS) if self.rng.random() < 0.15 else ""
                self.upload(number, harm=harm, times=self.rng.choice([1, 2, 3, 4]))
            for study in range(STUDIES):
                if self.rng.random() < 0.5:
                    self.mark(study, self.rng.randint(1, 6), times=self.rng.choice([1, 2]))
            self.rng.shuffle(self.queue)
            for step in range(MOST_STEPS):
                self._advance(step)
                if self.withdrawn and self.quiescent:
                    break
            else:
                waiting = [row for row in self.world.rows() if not row.status.terminal]
                raise AssertionError(f"no quiescence: {waiting}, {self.queue}, {self.world.sagemaker.live()}")
            self.settle()

    def _advance(self, step: int) -> None:
        self.calm = step > CALM_AFTER
        if step in {100, self.promotes_at}:
            self.world.set_champion(FIRST if step == 100 else SECOND)
        if step > self.withdraws_at and not self.withdrawn and (step % 50 == 0 or self.calm):
            # Again after a crash: a person repeats the command.
            self._invoke(lambda: self.withdraw(self.rescored.__contains__))
        if step > self.erases_at and self.rng.random() < 0.005:
            self._invoke(self.erase)
        if self.deploys_at is not None and step > self.deploys_at and not self.actors:
            self.deploys_at = None
            concurrency = self.deployment.choice([0, 1, 2])
            express = replace(self.world.dispatching.express, express=concurrency > 0, express_concurrency=concurrency)
            self.deploy(self.deployment.randint(1, 3), express)
        self._pass_time()
        self._deliver()
        self._end_jobs()
        self._run_express()
        self._run_shares()
        self._step_one()

    def _pass_time(self) -> None:
        awake = any(actor.wakes_at <= self.world.time for actor in self.actors)
        waits = (self.calm or not awake) and self.used_up  # for the next day
        slowly = (60 if waits else 1) if awake else (3600 if waits else 60)
        self.world.wait(self.rng.random() * slowly * (10 if self.rng.random() < 0.05 else 1))

    def _deliver(self) -> None:
        rng, world = self.rng, self.world
        if self.queue and self.room and rng.random() < 0.3:
            event = self.queue.pop()
            self._invoke(lambda: self.ingest(event))
        if world.queue.sent and rng.random() < 0.3:
            sent_at, _ = world.queue.sent[0]
            if (world.time - sent_at).total_seconds() > 25:
                world.queue.sent.pop(0)
                if rng.random() < 0.9:  # a tick may be lost
                    self._invoke(world.dispatching.run)
        if rng.random() < 0.01:
            self._invoke(world.dispatching.run)  # a tick delivered twice
        if (world.time - self.last_sweep).total_seconds() > 60:
            self.last_sweep = world.time
            self._invoke(world.sweeping.run)

    def _invoke(self, work: object, skew_seconds: float = SKEW_SECONDS) -> None:
        assert callable(work)
        self.start(work, timedelta(seconds=self.rng.gauss(0, skew_seconds)))

    def _step_one(self) -> None:
        awake = [actor for actor in self.actors if actor.wakes_at <= self.world.time]
        if awake:
            actor = self.rng.choice(awake)
            self.step(actor)
            if self.rng.random() < 0.03 and not self.calm:  # a zombie: it continues when others have long taken over
                actor.wakes_at = self.world.time + timedelta(seconds=self.rng.random() * 600)

    def _end_jobs(self) -> None:
        for name in list(self.world.sagemaker.live()):
            if name not in self.hangs:
                self.hangs[name] = not self.calm and self.rng.random() < 0.1
            stopping = self.world.sagemaker.jobs[name]["TransformJobStatus"] == "Stopping"
            if self.rng.random() < 0.02 and (stopping or self.calm or not self.hangs[name]):
                self._end(name)

    def _run_express(self) -> None:
        """Start orders that Lambda has, in any order; some of them twice, some late, some never."""
        rng, world = self.rng, self.world
        world.functions.refusing = rng.choice(REFUSALS) if not self.calm and rng.random() < 0.05 else ""
        waiting, messages = world.functions.waiting, self.environments.messages
        if waiting and self.room and rng.random() < 0.1:
            order = waiting[rng.randrange(len(waiting))]
            fate = "once" if self.calm else rng.choice(["once", "once", "once", "twice", "dropped", "lost"])
            if fate != "twice":
                waiting.remove(order)
            if fate == "dropped":
                messages.append((order["Job"], "of no run"))
            elif fate != "lost":
                self._invoke(self._invocation(order), rng.choice([SKEW_SECONDS, WRONG_SECONDS]))
        if messages and self.room and rng.random() < 0.2:
            message = messages.pop(rng.randrange(len(messages)))
            if self.calm or rng.random() < 0.8:
                self._invoke(lambda: world.collecting.collect(*message))

    def _run_shares(self) -> None:
        """Start invocations that only close studies, in any order; some of them twice, some late, some never."""
        rng, shares = self.rng, self.world.functions.shares
        if shares and self.room and rng.random() < 0.2:
            order = shares[rng.randrange(len(shares))]
            fate = "once" if self.calm else rng.choice(["once", "once", "twice", "lost"])
            if fate != "twice":
                shares.remove(order)
            if fate != "lost":
                self._invoke(lambda: self.close_share(order))

    def _invocation(self, order: dict[str, Any]) -> Callable[[], None]:
        rng = self.rng
        luck = 1.0 if self.calm else rng.choice([1.0, 1.0, 0.7, 0.0])

        def read(body: bytes) -> bytes | None:
            if self.harm(body) == POISON and rng.random() < 0.5:
                raise Crash  # it ends the environment
            if self.harm(body) == POISON or rng.random() > luck:
                return None
            if self.harm(body) == BOMB:
                return ENDLESS
            return answer(body if self.calm or rng.random() < 0.98 else b"of another object")

        return lambda: self.environments.invoke(order, read)

    def _end(self, name: str) -> None:
        rng, world = self.rng, self.world
        luck = 1.0 if self.calm else rng.choice([1.0, 1.0, 0.7, 0.0])
        crashes = rng.random() < 0.5 and any(self.harm(body) == POISON for body in self.members(name))

        def container(body: bytes) -> bytes | None:
            if crashes or self.harm(body) == POISON or rng.random() > luck:
                return None
            if self.harm(body) == BOMB:
                return ENDLESS
            return answer(body if self.calm or rng.random() < 0.98 else b"of another object")

        world.sagemaker.end(name, container, reason=rng.choice(["AlgorithmError", "CapacityError: none"]))
        for _ in range(rng.choice([0, 1, 1, 2])):
            self._invoke(lambda: world.collecting.collect(name))
