"""What hostile uploads cost at most, and how long innocent neighbours wait: the product's own code in virtual time.

Dispatch, collect, their tables and the default stage's limits are the product's, over an AWS in memory. A host takes
START_SECONDS to start, and PREDICT_SECONDS for an innocent slice; a hostile object takes as long as the container lets
it. One that kills or holds the model's process costs two restarts, or one soon after another
(model_code/serving/supervisor.py), and the slices after each are read one at a time; it is answered with an error. Of a
job that is stopped AWS stores nothing. Hostile objects and innocents come at once in random order; one more innocent
comes every five minutes for four hours. The bill is what all jobs cost more than without the attack; the goal is per
attack below a hundred hostile objects, else per thousand.

    python -m assurance.hostile_bill [--hostile 1000] [--innocents 4000] [--days 0.5]
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import itertools
import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks import prices
from benchmarks.plane import quiet
from functions.domain import layout
from functions.domain.batch import DECODE_SECONDS, DECODERS, RESTART_SECONDS
from functions.domain.row import Row, Status, moment_of, timestamp
from functions.names import BATCHES
from infra.config import StageConfig
from model_code.container import DEFAULT_ANSWER_SECONDS
from model_code.serving.supervisor import CAREFUL
from tests.fakes.world import WORK, World, answer

START_SECONDS = 150.0
PREDICT_SECONDS = 0.16  # two at once
WORKERS = 2
RESTART_SECONDS_OF_MODEL = 4.0  # of processor time, the plain slice and the decoder's start included, were measured
LATER_EVERY, LATER_FOR = 300.0, 4 * 3600.0
FEW = 100  # fewer hostile objects do not extrapolate to a thousand
MOST_USD, MOST_WAIT_SECONDS = 1.0, 1800.0
SWEEP_SECONDS = 60.0
JPEG_2000 = "1.2.840.10008.1.2.4.90"


@dataclass(frozen=True, kw_only=True)
class Attack:
    """Hostile uploads: decoder seconds of each object, whether it kills or holds the model's process, their pace.

    ``number``: of hostile objects, None for as many as are asked for.
    """

    name: str
    seconds: float = 0.0
    kills: bool = False
    holds: bool = False
    every: float = 0.0
    number: int | None = None


ATTACKS = (
    Attack(name="none", number=0),
    Attack(name="frames that take as long as they may", seconds=DECODE_SECONDS + RESTART_SECONDS),
    Attack(name="the same, and then crash their decoder twice", seconds=DECODE_SECONDS + 2 * RESTART_SECONDS),
    Attack(name="one small upload every 3 minutes", every=180.0, number=200),
    Attack(name="one small upload a minute", every=60.0, number=600),
    Attack(name="1 kills the container", kills=True, number=1),
    Attack(name="10 kill the container", kills=True, number=10),
    Attack(name="all kill the container", kills=True),
    Attack(name="all are slow, then kill the container", kills=True, seconds=DECODE_SECONDS),
    Attack(name="1 holds the container", holds=True, number=1),
    Attack(name="10 hold the container", holds=True, number=10),
)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Result of an attack: jobs, host hours, seconds that innocents waited, and uploads without an answer."""

    jobs: int
    hours: float
    waits: list[float]
    later: list[float]
    unanswered: int

    @property
    def usd(self) -> float:
        """The bill."""
        return self.hours * prices.HOST_HOUR


class Simulation:
    """One attack on one stage, from its first upload to the last answer, or for ``days``."""

    def __init__(self, attack: Attack, hostile: int, innocents: int, days: float) -> None:
        self.attack = attack
        self.stage = stage = StageConfig()
        self.world = World(
            slots=stage.slots,
            max_batch=stage.max_batch,
            parallel_threshold=stage.parallel_threshold,
            max_wait_seconds=stage.max_wait_seconds,
            worst_seconds=stage.max_work_seconds * DECODERS * stage.instance_count,
            max_jobs_per_day=stage.max_jobs_per_day,
        )
        self.world.set_champion()
        self._began = self.world.time
        self._rng = random.Random(1)
        self._most_seconds = days * 86_400
        self._order = itertools.count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._kinds: dict[str, str] = {}
        self._open = 0
        self._jobs, self._host_seconds = 0, 0.0
        number = hostile if attack.number is None else attack.number
        kinds = ["innocent"] * innocents + ([] if attack.every else ["hostile"] * number)
        self._rng.shuffle(kinds)
        for kind in kinds:
            self._plan(0.0, lambda kind=kind: self._arrive(kind))  # type: ignore[misc]
        for turn in range(number if attack.every else 0):
            self._plan(turn * attack.every, lambda: self._arrive("hostile"))
        for turn in range(int(LATER_FOR / LATER_EVERY)):
            self._plan((turn + 1) * LATER_EVERY, lambda: self._arrive("later"))

    def run(self) -> Seen:
        """Run until everything is answered or the time is over."""
        swept = 0.0
        while (self._agenda or self._open) and self._now() < self._most_seconds:
            due = swept + SWEEP_SECONDS if self._open else self._agenda[0][0]
            if self._agenda and self._agenda[0][0] <= due:
                due, _, action = heapq.heappop(self._agenda)
                self._go_to(due)
                action()
                last = not (self._agenda and self._agenda[0][0] == due)
                if last and action != self._dispatch:
                    self._plan(due + self.stage.tick_delay_seconds, self._dispatch)
            else:
                self._go_to(due)
                swept = due
                self._dispatch()
        return self._seen()

    def _go_to(self, seconds: float) -> None:
        self.world.wait(max(0.0, seconds - self._now()))

    def _plan(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (seconds, next(self._order), action))

    def _arrive(self, kind: str) -> None:
        """Add one upload and its row, as ingest does."""
        body = str(next(self._numbers)).encode()
        upload_id = layout.upload_id(body.decode(), "v")
        self._kinds[upload_id] = kind
        self._open += 1
        now = timestamp(self.world.time)
        self.world.s3.objects[WORK, layout.instance_key(layout.instance_name(upload_id))] = body
        self.world.index.put_new(
            Row(
                upload_id=upload_id,
                key=body.decode(),
                version_id="v",
                size=len(body),
                received_at=now,
                updated_at=now,
                status=Status.PENDING,
                transfer_syntax_uid=JPEG_2000,
                content_sha256=hashlib.sha256(body).hexdigest(),
            )
        )

    def _dispatch(self) -> None:
        """Dispatch, for a tick or the sweep."""
        for name in self.world.dispatching.run():
            kinds = [self._kinds[layout.upload_of_instance(one)] for one in self.world.sagemaker.live()[name]]
            seconds, fate = self._course(kinds)
            self._jobs += 1
            self._host_seconds += seconds * self.stage.instance_count
            self._plan(self._now() + seconds, lambda name=name, fate=fate: self._end(name, fate))  # type: ignore[misc]

    def _course(self, kinds: list[str]) -> tuple[float, str]:
        """Return how long a job takes, and how it ends."""
        hostile = kinds.count("hostile")
        innocents = len(kinds) - hostile
        seconds = START_SECONDS + PREDICT_SECONDS * innocents
        if self.attack.kills or self.attack.holds:
            careful = CAREFUL + 2 * WORKERS
            ends = hostile + 1 if innocents < hostile * careful else 2 * hostile
            each = DEFAULT_ANSWER_SECONDS if self.attack.holds else self.attack.seconds
            seconds += ends * (each + RESTART_SECONDS_OF_MODEL)
            seconds += PREDICT_SECONDS * (WORKERS - 1) * min(innocents, ends * careful)
        else:
            seconds += hostile * self.attack.seconds / DECODERS
        if seconds > self.stage.max_job_seconds:
            return float(self.stage.max_job_seconds), "Stopped"
        return seconds, "Completed"

    def _end(self, name: str, fate: str) -> None:
        """End and collect a job; drop its objects, which are not read again."""
        world = self.world
        world.sagemaker.end(name, self._answer if fate == "Completed" else lambda _body: None, status=fate)
        outcome = world.collecting.collect(name)
        assert outcome is not None
        self._open -= outcome.completed + outcome.failed
        del world.sagemaker.jobs[name]
        batch = f"{BATCHES}{name.removeprefix('wetread-')}/"
        outputs = layout.output_prefix(name)
        for where in [one for one in world.s3.objects if one[1].startswith((batch, outputs))]:
            del world.s3.objects[where]

    def _answer(self, body: bytes) -> bytes | None:
        """Return a prediction, or the error of an object that kills or holds the model's process."""
        if (self.attack.kills or self.attack.holds) and self._kinds[layout.upload_id(body.decode(), "v")] == "hostile":
            return answer(body, Error={"Code": "KillsContainer", "Message": "The model's process ended twice."})
        return answer(body)

    def _now(self) -> float:
        return (self.world.time - self._began).total_seconds()

    def _seen(self) -> Seen:
        rows = self.world.rows()
        return Seen(
            jobs=self._jobs,
            hours=self._host_seconds / 3600,
            waits=sorted(self._waits(rows, "innocent")),
            later=sorted(self._waits(rows, "later")),
            unanswered=sum(not row.status.terminal for row in rows if self._kinds[row.upload_id] != "hostile"),
        )

    def _waits(self, rows: list[Row], kind: str) -> Iterator[float]:
        """Return seconds that each upload of a kind has waited."""
        for row in rows:
            if self._kinds[row.upload_id] == kind:
                ended = moment_of(row.completed_at) if row.completed_at else self.world.time
                yield (ended - moment_of(row.received_at)).total_seconds()


def show(attack: Attack, seen: Seen, hostile: int, usd: float) -> None:
    """Print a line; ``usd`` is what the innocents cost alone."""
    number = hostile if attack.number is None else attack.number
    more = seen.usd - usd
    scaled = 1000 * more / number if number >= FEW else more
    waits = [*seen.waits, *seen.later]
    cheap = scaled <= MOST_USD
    quick = not seen.unanswered and max(waits) <= MOST_WAIT_SECONDS
    open_uploads = f"{seen.unanswered} unanswered" if seen.unanswered else ""
    print(
        f"{attack.name:46s} {number:5d} {seen.jobs:6d} {seen.hours:7.1f} {more:8.2f} {scaled:10.2f}"
        f" {statistics.median(seen.waits) / 60:7.0f} {max(seen.waits) / 60:6.0f}"
        f" {statistics.median(seen.later) / 60:7.0f} {max(seen.later) / 60:6.0f}"
        f"  {'yes' if cheap else 'NO':>3s} {'yes' if quick else 'NO':>4s} {open_uploads}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hostile", type=int, default=1000)
    parser.add_argument("--innocents", type=int, default=4000)
    parser.add_argument("--days", type=float, default=0.5)
    parser.add_argument("--only", default="", help="attacks with this text in their name")
    chosen = parser.parse_args()
    stage = StageConfig()
    print(f"{stage.slots} slots of {stage.instance_type} at ${prices.HOST_HOUR} an hour ({prices.AS_OF}),")
    print(
        f"{chosen.innocents} innocents at once, one more every 5 minutes for 4 hours; looked at for {chosen.days} days"
    )
    above = ("", "", "", "host", "", "$ a 1,000", "wait, minutes", "of later ones", "goals")
    print("{:46s} {:5s} {:6s} {:>7s} {:8s} {:>10s} {:>14s} {:>14s}  {}".format(*above))
    print(
        f"{'hostile':46s} {'':>5s} {'jobs':>6s} {'hours':>7s} {'$ more':>8s} {'hostile':>10s}"
        f" {'median':>7s} {'max':>6s} {'median':>7s} {'max':>6s}  ${MOST_USD:.0f} 30 min"
    )
    usd = 0.0
    for attack in ATTACKS:
        if chosen.only in attack.name or attack is ATTACKS[0]:
            with quiet():
                seen = Simulation(attack, chosen.hostile, chosen.innocents, chosen.days).run()
            usd = usd or seen.usd
            show(attack, seen, chosen.hostile, usd)


if __name__ == "__main__":
    main()
