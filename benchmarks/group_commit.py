"""How many transform jobs an arrival trace makes: a job per SQS batch window, against the product's dispatch code.

The trace: a lone upload, 10,000 uploads in 10 minutes, a lone upload. A job takes 300 s to start and 0.15 s an upload.
Virtual time; the functions' own intake, dispatching, collecting and sweeping run over an AWS in memory.

    python -m benchmarks.group_commit
"""

from __future__ import annotations

import functools
import heapq
import itertools
import random
import statistics
from collections.abc import Callable
from datetime import datetime

from functions.domain.row import moment_of
from infra.config import StageConfig
from tests.fakes.dicom import ct
from tests.fakes.world import World, answer

BURST, BURST_SECONDS = 10_000, 600.0
JOB_START_SECONDS, UPLOAD_SECONDS = 300.0, 0.15
WINDOW_SECONDS, POLLERS = 60.0, 5


def arrivals(rng: random.Random) -> list[float]:
    """Seconds: a lone upload at 65 s, the burst from 2,000 s on, a lone upload an hour after it."""
    times = [65.0, *sorted(2000 + rng.random() * BURST_SECONDS for _ in range(BURST))]
    return [*times, times[-1] + 4000]


def job_seconds(uploads: int) -> float:
    """How long a job of so many uploads runs."""
    return JOB_START_SECONDS + UPLOAD_SECONDS * uploads


def window_per_job(times: list[float], rng: random.Random) -> tuple[list[tuple[float, int]], list[float]]:
    """Return a Lambda event source with a batch window, one job per batch: each poller fills a separate batch."""
    open_batches: dict[int, list[float]] = {}
    jobs: list[tuple[float, int]] = []
    waits: list[float] = []

    def close(poller: int) -> None:
        batch = open_batches.pop(poller)
        submitted = batch[0] + WINDOW_SECONDS
        jobs.append((submitted, len(batch)))
        waits.extend(submitted - time for time in batch)

    for time in times:
        for poller in [one for one, batch in open_batches.items() if batch[0] + WINDOW_SECONDS <= time]:
            close(poller)
        open_batches.setdefault(rng.randrange(POLLERS), []).append(time)
    for poller in list(open_batches):
        close(poller)
    return jobs, waits


class Simulation:
    """The product in virtual time: events in order, each one a call of the product's own code."""

    def __init__(self) -> None:
        self.stage = stage = StageConfig()
        self.world = World(
            slots=stage.slots,
            max_batch=stage.max_batch,
            parallel_threshold=stage.parallel_threshold,
            max_wait_seconds=stage.max_wait_seconds,
            window_seconds=stage.tick_window_seconds,
        )
        self.world.set_champion()
        self.started = self.world.time
        self._order = itertools.count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Plan an action."""
        heapq.heappush(self._agenda, (seconds, next(self._order), action))

    def run(self) -> None:
        """Run all planned actions, including those planned meanwhile."""
        while self._agenda:
            seconds, _, action = heapq.heappop(self._agenda)
            self.world.wait(max(0.0, seconds - self._now()))
            running = set(self.world.sagemaker.jobs)
            action()
            for name in set(self.world.sagemaker.jobs) - running:
                members = len(self.world.sagemaker.jobs[name]["members"])
                self.at(self._now() + job_seconds(members), functools.partial(self.end, name))
            while self.world.queue.sent:
                sent_at, _ = self.world.queue.sent.pop(0)
                due = (sent_at - self.started).total_seconds() + self.stage.tick_delay_seconds
                self.at(due, self.dispatch)

    def arrive(self, number: int) -> None:
        """One upload, taken in."""
        self.world.ingesting.take(self.world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
        self.world.ticks.send(self.world.time)

    def dispatch(self) -> None:
        """A tick."""
        self.world.dispatching.run()

    def sweep(self) -> None:
        """The minute's sweep."""
        self.world.sweeping.run()

    def end(self, name: str) -> None:
        """A job ends and is collected."""
        self.world.sagemaker.end(name, answer)
        self.world.collecting.collect(name)
        self.world.ticks.send(self.world.time)

    def _now(self) -> float:
        return (self.world.time - self.started).total_seconds()


def group_commit(times: list[float]) -> tuple[list[tuple[float, int]], list[float]]:
    """Run the product's policy and protocol on the trace."""
    simulation = Simulation()
    for number, time in enumerate(times):
        simulation.at(time, functools.partial(simulation.arrive, number))
    for minute in range(int(times[-1] // 60) + 20):
        simulation.at(minute * 60.0, simulation.sweep)
    simulation.run()
    assert all(row.status.terminal for row in simulation.world.rows())
    return _jobs_and_waits(simulation.world, simulation.started)


def _jobs_and_waits(world: World, started: datetime) -> tuple[list[tuple[float, int]], list[float]]:
    """Submission times and sizes of the jobs, and how long each upload waited for its job."""
    submitted = {
        name: (datetime.strptime(name.split("-")[1], "%Y%m%d%H%M%S") - started.replace(tzinfo=None)).total_seconds()
        for name in world.sagemaker.jobs
    }
    jobs = [(submitted[name], len(job["members"])) for name, job in world.sagemaker.jobs.items()]
    waits = [
        submitted[row.transform_job_name or ""] - (moment_of(row.received_at) - started).total_seconds()
        for row in world.rows()
    ]
    return jobs, waits


def most_at_once(jobs: list[tuple[float, int]]) -> int:
    """Return the most jobs that ran at the same time."""
    edges = sorted(itertools.chain.from_iterable(((at, 1), (at + job_seconds(size), -1)) for at, size in jobs))
    return max(itertools.accumulate(step for _, step in edges))


def main() -> None:
    """Print the comparison."""
    rng = random.Random(1)
    times = arrivals(rng)
    print(f"{'policy':34s} {'jobs':>5s} {'at once':>8s} {'wait p50':>9s} {'p99':>7s} {'lone upload':>12s}")
    counts = []
    for policy, (jobs, waits) in (
        (f"a job per {WINDOW_SECONDS:.0f} s batch window", window_per_job(times, rng)),
        ("group commit (the product's code)", group_commit(times)),
    ):
        ordered = sorted(waits)
        p50, p99 = statistics.median(ordered), ordered[int(0.99 * len(ordered))]
        lone = min(at for at, _ in jobs) - times[0]
        print(f"{policy:34s} {len(jobs):5d} {most_at_once(jobs):8d} {p50:8.0f}s {p99:6.0f}s {lone:11.0f}s")
        counts.append(len(jobs))
    print(f"jobs: {counts[0] / counts[1]:.1f} times fewer")


if __name__ == "__main__":
    main()
