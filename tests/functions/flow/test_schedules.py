"""Schedules that Hypothesis draws and, when one fails, shortens to the few steps that it takes.

Where tests/simulation/simulation.py runs long schedules, this looks for the shortest way to break the same promises. A
tenth of WETREAD_SCHEDULES are drawn, always the same.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.fakes.wire import client_error
from tests.fakes.world import answer
from tests.simulation.actors import Actor, acting, in_turns
from tests.simulation.schedule import BOMB, ENDLESS, FIRST, HARMS, POISON, SECOND, Schedule

EXAMPLES = max(1, int(os.environ.get("WETREAD_SCHEDULES", "200")) // 10)
UPLOADS = 8
ROUNDS = 300

which = st.integers(0, 15)
calls = st.one_of(st.just(0), st.integers(1, 15))  # 0: to its end
outputs = st.lists(st.sampled_from(["own", "own", "none", "another's"]), min_size=4, max_size=4)


class Drawn(Schedule):
    """A schedule in which the next call of one invocation may be throttled, and indexes may lag."""

    def __init__(self) -> None:
        self.stale = False
        self.throttled: Actor | None = None
        super().__init__(
            slots=2,
            max_batch=4,
            parallel_threshold=1,
            max_wait_seconds=60,
            lagging=lambda: self.stale and not self.calm,
        )

    def disturb(self, operation: str, when: str) -> None:
        if when == "before" and self.throttled is acting():
            self.throttled = None
            raise client_error("ThrottlingException", operation)


class Schedules(RuleBasedStateMachine):
    """Every rule is something that AWS, a person or a dying host may do at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = ExitStack()
        self.changed.enter_context(in_turns(random.Random(0)))
        self.now = Drawn()
        self.promoted = self.withdrawing = False
        self.jobs: list[str] = []

    @initialize()
    def set_champion(self) -> None:
        self.now.world.set_champion(FIRST)

    @precondition(lambda self: len(self.now.bodies) < UPLOADS)
    @rule(harm=st.sampled_from(["", "", "", "", *HARMS]), times=st.integers(1, 3))
    def upload(self, harm: str, times: int) -> None:
        self.now.upload(len(self.now.bodies), harm=harm, times=times)

    @precondition(lambda self: self.now.queue and self.now.room)
    @rule(event=which, calls=calls)
    def deliver(self, event: int, calls: int) -> None:
        delivered = self.now.queue.pop(event % len(self.now.queue))
        self._run(lambda: self.now.ingest(delivered), calls)

    @rule(calls=calls)
    def tick(self, calls: int) -> None:
        self._run(self.now.world.dispatching.run, calls)

    @rule(calls=calls)
    def sweep(self, calls: int) -> None:
        self._run(self.now.world.sweeping.run, calls)

    @precondition(lambda self: self.now.world.functions.shares)
    @rule(order=which, again=st.booleans(), calls=calls)
    def close_share(self, order: int, again: bool, calls: int) -> None:
        shares = self.now.world.functions.shares
        taken = shares[order % len(shares)]
        if not again:
            shares.remove(taken)
        self._run(lambda: self.now.close_share(taken), calls)

    @rule(calls=calls)
    def erase(self, calls: int) -> None:
        self._run(self.now.erase, calls)

    @precondition(lambda self: self.now.world.sagemaker.jobs)
    @rule(job=which, calls=calls)
    def collect(self, job: int, calls: int) -> None:
        names = list(self.now.world.sagemaker.jobs)
        name = names[job % len(names)]
        self._run(lambda: self.now.world.collecting.collect(name), calls)

    @precondition(lambda self: self.now.world.sagemaker.live())
    @rule(job=which, given=outputs, reason=st.sampled_from(["AlgorithmError", "CapacityError: none"]))
    def end(self, job: int, given: list[str], reason: str) -> None:
        names = list(self.now.world.sagemaker.live())
        answers = iter(given * UPLOADS)

        def container(body: bytes) -> bytes | None:
            kind = next(answers)
            if kind == "none" or self.now.harm(body) == POISON:
                return None
            if self.now.harm(body) == BOMB:
                return ENDLESS
            return answer(body if kind == "own" else b"of another object")

        self.now.world.sagemaker.end(names[job % len(names)], container, reason=reason)

    @precondition(lambda self: self.now.actors)
    @rule(one=which, calls=calls)
    def go_on(self, one: int, calls: int) -> None:
        self._advance(self._actor(one), calls)

    @precondition(lambda self: self.now.actors)
    @rule(one=which)
    def die(self, one: int) -> None:
        actor = self._actor(one)
        actor.dies = True
        self._advance(actor)

    @precondition(lambda self: self.now.actors)
    @rule(one=which)
    def throttle(self, one: int) -> None:
        self.now.throttled = self._actor(one)

    @rule(seconds=st.sampled_from([1, 30, 200, 4000]))
    def wait(self, seconds: int) -> None:
        self.now.world.wait(seconds)

    @rule(stale=st.booleans())
    def lag(self, stale: bool) -> None:
        self.now.stale = stale

    @precondition(lambda self: not self.promoted)
    @rule()
    def promote(self) -> None:
        self.promoted = True
        self.now.world.set_champion(SECOND)

    @precondition(lambda self: self.promoted and not self.now.withdrawn)
    @rule(odd=st.booleans(), calls=calls)
    def withdraw(self, odd: bool, calls: int) -> None:
        self.withdrawing = True
        self._run(lambda: self.now.withdraw(lambda number: number % 2 == odd), calls)

    def teardown(self) -> None:
        """Stop all disturbances: the sweep alone brings everything to its end."""
        now, world = self.now, self.now.world
        now.calm = True
        for _ in range(ROUNDS):
            for actor in list(now.actors):
                self._advance(actor)
            if now.quiescent and now.withdrawn >= self.withdrawing:
                break
            now.start(world.sweeping.run)
            if self.withdrawing and not now.withdrawn:
                now.start(lambda: now.withdraw(lambda _number: False))
            while world.functions.shares and now.room:
                order = world.functions.shares.pop()
                now.start(lambda order=order: now.close_share(order))  # type: ignore[misc]
            while now.queue and now.room:
                event = now.queue.pop()
                now.start(lambda event=event: now.ingest(event))  # type: ignore[misc]
            for name in list(world.sagemaker.live()):
                world.sagemaker.end(name, self._answer)
            world.wait(200)
        else:
            raise AssertionError(
                f"no quiescence: {now.queue} {[row for row in world.rows() if not row.status.terminal]}"
            )
        now.settle()
        self.changed.close()

    def _answer(self, body: bytes) -> bytes | None:
        return {POISON: None, BOMB: ENDLESS}.get(self.now.harm(body), answer(body))

    def _run(self, work: Callable[[], object], calls: int) -> None:
        """Start an invocation, if there is room, and let it make some of its calls, or all (0)."""
        if self.now.room:
            self.now.start(work)
            self._advance(self.now.actors[-1], calls)

    def _actor(self, one: int) -> Actor:
        return self.now.actors[one % len(self.now.actors)]

    def _advance(self, actor: Actor, calls: int = 0) -> None:
        turns = range(calls) if calls else itertools.count()
        for _ in turns:
            if actor.finished:
                break
            self.now.step(actor)


TestSchedules = pytest.mark.timeout(900)(Schedules.TestCase)
TestSchedules.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
