"""The parts of a schedule: uploads, events, invocations, jobs; and the invariants that must hold throughout."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from functions.aws.closers import shards_in
from functions.aws.events import ObjectCreated
from functions.aws.index import row_in
from functions.aws.keys import Keys
from functions.aws.shards import plain
from functions.domain import layout, prediction
from functions.domain.champion import Withdrawal
from functions.domain.errors import FailureCode, RefusalCode
from functions.domain.lane import ExpressLimits
from functions.domain.row import Status, timestamp
from functions.flow.collecting import ROW_TRIES
from functions.flow.ingesting import MOST_TRIES
from functions.flow.marking import SETTLED_SECONDS
from functions.names import INSTANCES, OUTPUTS
from tests.fakes.dicom import SERIES, ct
from tests.fakes.workflow import Workflow
from tests.fakes.world import PATIENCE, RESULTS, UPLOADS, WEIGHTS_SHA256, WORK, World
from tests.simulation.actors import Actor, Crash, acting, skew
from tests.simulation.express import Environments
from tests.simulation.studies import WatchedStudies
from wetread.erasure.subjects import Patient
from wetread.erasure.uploads import ErasingUploads, is_free

ERASED = "P-ERASED"
WEIGHTS = WEIGHTS_SHA256
ZOMBIE_SECONDS = 6000  # Lambda ends an invocation after minutes; a schedule's may sleep ten minutes again and again
STUDIES = 3  # one of them of the erased patient's uploads and others, as all
CLOSING_SWEEPS = 1 + 2 + PATIENCE.study_quiet_seconds // 60  # a study is closed two minutes after it is quiet
ACTORS = 8  # invocations at once
# What an object may do: kill every job that it is in, have a malformed answer, or an answer that raises an error in its
# reader or kills the function.
POISON, BOMB, RAISES, KILLS = HARMS = ("poison", "bomb", "raises", "kills")
BORNE = ("Throttling", "this output raises")
ENDLESS = b'{"Schema": "' + b"f" * 2 * prediction.MOST_BYTES
FIRST, SECOND = "wetread/1", "wetread/2"
WRITES = frozenset({"put_item", "update_item", "delete_item", "transact_write_items"})
CHANGES = WRITES | {"create_transform_job"}
"""What may break an invariant; every other call leaves rows and jobs as they are."""
TERMINAL = frozenset(status for status in Status if status.terminal)


@dataclass(frozen=True)
class Delivery:
    """One message of the uploads queue, and how often SQS has delivered it."""

    event: ObjectCreated
    number: int = 1


class Schedule:
    """Invocations over one world in memory; ``disturb(operation, when)`` is called on their turns, around each call."""

    def __init__(self, **world: Any) -> None:
        self.calm = False
        self.world = World(interfere=self._interfere, **world)
        self.world.skew = skew
        self.slots = self.world.dispatching.limits.slots
        self.runs_at_once = self.world.dispatching.express.express_concurrency
        self.max_jobs_per_day = self.world.dispatching.max_jobs_per_day
        self.actors: list[Actor] = []
        self.queue: list[Delivery] = []
        self.cut_off: Counter[str] = Counter()
        self.bodies: dict[str, bytes] = {}
        self.harms: dict[str, str] = {}
        self.world.s3.reading = self._read
        self.world.s3.deleting = self._delete
        self.final: dict[str, Mapping[str, Any]] = {}
        self.withdrawing = Workflow(self.world).withdrawing
        self.studies = WatchedStudies(self.world)
        self.environments = Environments(self.world)
        self.withdrawn = False
        self.calls = 0
        self.written_at = self.world.time
        self.changed = False
        self._used_up: tuple[tuple[str, datetime], bool] = ("", self.world.time), False

    def disturb(self, operation: str, when: str) -> None:
        """Raise an error or crash for the call; the driver overrides this."""

    def _interfere(self, operation: str, when: str) -> None:
        self.changed |= when == "after" and operation in CHANGES
        actor = acting()
        if actor is None:
            return
        self.calls += when == "before"
        if when == "after" and operation in WRITES:
            self.written_at = self.world.time
        actor.pause()
        if not self.calm:
            self.disturb(operation, when)

    def upload(self, number: int, *, harm: str = "", times: int) -> None:
        """Put one object, which does ``harm`` (one of ``HARMS``), and deliver its event ``times`` times."""
        body = ct(
            SOPInstanceUID=f"1.2.{number}",
            StudyInstanceUID=f"1.2.840.99.{number % STUDIES}",
            InstanceNumber=number,
            PatientID=ERASED if number % 4 == 3 else "P-7",
        )
        event = self.world.upload(f"{number}.dcm", body)
        upload_id = layout.upload_id(event.key, event.version_id)
        self.bodies[upload_id] = body
        if harm:
            self.harms[upload_id] = harm
        self.queue += [Delivery(event)] * times

    def mark(self, study: int, objects: int, *, times: int) -> None:
        """Put a sender's marker that names so many objects of one study, whether true or not."""
        series = [{"SeriesInstanceUID": SERIES, "NumberOfInstances": objects}]
        document = {"Schema": "complete/1", "StudyInstanceUID": f"1.2.840.99.{study}", "Series": series}
        body = json.dumps(document).encode()
        event = self.world.upload(f"{study}.complete.json", body)
        self.bodies[layout.upload_id(event.key, event.version_id)] = body
        self.queue += [Delivery(event)] * times

    def harm(self, body: bytes) -> str:
        """Return what the object with these bytes does, "" for nothing."""
        return next((harm for upload_id, harm in self.harms.items() if self.bodies[upload_id] == body), "")

    def _read(self, key: str) -> None:
        """Do the object's harm to the reader of its output."""
        harm = self.harms.get(layout.upload_of_output(key) or "")
        if harm == KILLS:
            raise Crash
        if harm == RAISES:
            raise ValueError("this output raises an error each time")

    def _delete(self, key: str) -> None:
        """Check that no copy or output is deleted that an upload may still need."""
        if not key.startswith((INSTANCES, OUTPUTS)):
            return
        upload_id = layout.upload_of_output(key) or layout.upload_of_instance(key.rsplit("/", 1)[-1])
        row, name = self.world.dynamodb.tables["index"][upload_id], key.rsplit("/", 1)[-1].removesuffix(".out")
        if key.startswith(INSTANCES):
            waits = status_of(row) not in TERMINAL
            assert not waits or name != row_in(row).instance_name, "a copy was deleted too early"
        else:
            of = plain(row.get("TransformJobName", {}).get("S", ""))
            assert status_of(row) != Status.BATCHED or f"/{of}/" not in key, "an output was deleted too early"

    @property
    def room(self) -> bool:
        """Whether one more invocation may run."""
        return len(self.actors) < ACTORS

    def start(self, work: Callable[[], object], off: timedelta = timedelta()) -> None:
        """Start an invocation if there is room; otherwise the event is lost."""
        if self.room:
            self.actors.append(Actor(work, off))

    def ingest(self, message: Delivery) -> None:
        """Ingest one message, which SQS delivers again if it was not acknowledged."""
        event = message.event
        try:
            row = self.world.ingesting.take(event, delivery=message.number)
            self.world.ingesting.touch([row])
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

    def erase(self) -> None:
        """Run one pass of an erasure: of one of the two patients, erase what no batch holds or held lately."""
        world, clients = self.world, self.world.clients
        deployment = SimpleNamespace(
            uploads_bucket_name=UPLOADS, work_bucket_name=WORK, results_bucket_name=RESULTS, dead_letter_queue_urls=[]
        )
        versions = [SimpleNamespace(model_package=one, artifact_sha256="") for one in (FIRST, SECOND)]
        patients = world.ingesting.patients
        connection: Any = SimpleNamespace(
            deployment=deployment,
            index=world.index,
            studies=world.studies,
            keys=Keys(clients["dynamodb"], "keys", patients),
            s3=clients["s3"],
            registry=SimpleNamespace(versions=lambda: versions),
        )
        uploads = ErasingUploads(connection, Patient(ERASED, "", patients))
        uploads._weights = dict.fromkeys((FIRST, SECOND), WEIGHTS)
        found = uploads.find(lambda row: is_free(row, world.clock(), ZOMBIE_SECONDS, ZOMBIE_SECONDS))
        if uploads.begin(found, world.clock()) and uploads.is_settled(found, world.clock(), ZOMBIE_SECONDS):
            uploads.erase(found, world.clock())

    def deploy(self, slots: int, express: ExpressLimits) -> None:
        """Change the stage's limits while batches are out: no more of either lane than before or after may run."""
        world, off = self.world, not express.express
        changed = replace(world.dispatching, limits=replace(world.dispatching.limits, slots=slots), express=express)
        if off:
            changed = replace(changed, runs=replace(changed.runs, function=""))
        world.dispatching = changed
        world.sweeping = replace(world.sweeping, dispatching=changed)
        self.slots = max(self.slots, slots)
        self.runs_at_once = max(self.runs_at_once, express.express_concurrency)

    def step(self, actor: Actor) -> None:
        """Give an invocation one turn, then check everything that it may have changed; raise its error."""
        actor.dies |= actor.ends_at <= self.world.time
        actor.step()
        if actor.finished:
            self.actors.remove(actor)
            if actor.error and not any(known in str(actor.error) for known in BORNE):
                raise actor.error
        if self.environments.began:
            self.environments.began = False
            self.check_jobs()
        if self.changed:
            self.changed = False
            self.check()

    def members(self, job: str) -> list[bytes]:
        """Return the bodies of the objects in a live job."""
        return [self.bodies[layout.upload_of_instance(one)] for one in self.world.sagemaker.live()[job]]

    def check(self) -> None:
        """Check what must hold after every AWS call that changes something."""
        self.check_jobs()
        rows = self.world.dynamodb.tables["index"]
        for upload_id, before in list(self.final.items()):
            now = rows[upload_id]
            if now is not before and now != before:
                changed = _was_held_up(before) or _only_erased(before, now) or _only_withdrawn(before, now)
                assert changed, "a terminal row changed"
                del self.final[upload_id]
        for upload_id, item in rows.items():
            if status_of(item) in TERMINAL:
                self.final.setdefault(upload_id, item)
        self.studies.check()

    def check_jobs(self) -> None:
        """Check that jobs and runs are no more than may be, and that no upload is in two of them."""
        live = self.world.sagemaker.live()
        assert len(live) <= self.slots
        limits = self.world.dispatching.express
        assert len(self.environments.reading()) <= self.runs_at_once
        assert all(runs <= limits.express_per_day for runs in self.runs_by_day().values())
        assert all(jobs <= self.max_jobs_per_day for jobs in self.jobs_by_day().values())
        members = [layout.upload_of_instance(member) for job in live.values() for member in job]
        members += [member for run in self.environments.reading() for member in run]
        assert len(members) == len(set(members)), "an upload is in two live jobs"

    def jobs_by_day(self) -> Counter[str]:
        """Return how many jobs were started for the batches that were opened on each day."""
        return Counter(name.removeprefix("wetread-")[:8] for name in self.world.sagemaker.jobs)

    def runs_by_day(self) -> Counter[str]:
        """Return how many runs of the express lane began, for the batches that were opened on each day."""
        begun = [key.split("/")[1] for bucket, key in self.world.s3.objects if key.endswith("/begun.json")]
        return Counter(name.removeprefix("wetread-")[:8] for name in begun)

    @property
    def used_up(self) -> bool:
        """Whether nothing runs, and nothing will before the next day; looked up once after each write."""
        today = self.world.time.date().isoformat()
        if self._used_up[0] != (today, self.written_at):
            opened = self.world.batches.jobs_on(today)
            used_up = opened >= self.max_jobs_per_day and not self.world.batches.holders()
            self._used_up = (today, self.written_at), used_up
        return self._used_up[1]

    def _close_studies(self) -> None:
        """Sweep until the studies are closed that the last steps have opened."""
        for _ in range(CLOSING_SWEEPS):
            if not self.studies.open:
                return
            self.world.wait(60)
            self.world.sweeping.run()
            while self.world.functions.shares:
                self.close_share(self.world.functions.shares.pop())

    def close_share(self, order: dict[str, Any]) -> None:
        """Close the studies of an order of the sweep, as its handler does."""
        self.world.concluding.run(shards_in(order))

    def _settle_erasure(self) -> None:
        """Run the last pass, when no batch holds anything; it leaves nothing of the one patient."""
        self.world.wait(ZOMBIE_SECONDS)
        self.erase()
        theirs = {one: body for one, body in self.bodies.items() if ERASED.encode() in body}
        rows = {row.upload_id: row for row in self.world.rows()}
        assert all(rows[one].status == Status.ERASED and not rows[one].key for one in theirs)
        left = [key for bucket, key in self.world.s3.objects if bucket == WORK and any(one in key for one in theirs)]
        assert not left, "a copy or an output of an erased upload is left"
        contents = {hashlib.sha256(body).hexdigest() for body in theirs.values()}
        results = [body for (bucket, _), body in self.world.s3.objects.items() if bucket == RESULTS]
        kept = [json.loads(one).get("ContentSHA256") for one in results]
        assert not [one for one in kept if one in contents], "a result is left"
        self.studies.check_erased(set(theirs))

    def _failed_as_a_whole(self, output: str) -> bool:
        """Return whether the job that wrote an output failed, or its batch had to be tried again."""
        name = output.split("/")[1]
        batch = self.world.batches.get(name.removeprefix("wetread-"))
        # A job that ended for lack of capacity counts as no try, and may have written outputs before.
        job = self.world.sagemaker.jobs.get(name, {})
        return bool(batch and batch.tries) or job.get("TransformJobStatus") == "Failed"

    @property
    def quiescent(self) -> bool:
        """Whether nothing moves any more, and every upload has ended."""
        done = len(self.final) == len(self.bodies)
        moving = self.queue or self.actors or self.world.sagemaker.live() or self.studies.open
        functions = self.world.functions
        moving = moving or functions.waiting or functions.shares or self.environments.messages
        return done and not moving

    def settle(self) -> None:
        """Check the end: nothing is held, the poison failed, each other upload has its answer, marked if withdrawn."""
        self.calm = True
        self.world.wait(SETTLED_SECONDS)
        self.world.sweeping.run()
        assert self.world.batches.holders() == {}
        self._settle_erasure()
        self._close_studies()
        self.studies.check_end()
        for row in self.world.rows():
            body = self.bodies[row.upload_id]
            if row.status in {Status.ERASED, Status.MARKER}:
                continue
            if row.status == Status.REFUSED:
                assert row.code == RefusalCode.INGEST_FAILED
                assert self.cut_off[row.upload_id] >= MOST_TRIES, "an upload was refused before its tries were used"
                continue
            harmful = row.upload_id in self.harms
            assert row.status in ({Status.FAILED} if harmful else {Status.COMPLETED, Status.FAILED})
            if row.status == Status.COMPLETED:
                result = json.loads(self.world.s3.objects[RESULTS, row.prediction_key or ""])
                assert result["ContentSHA256"] == hashlib.sha256(body).hexdigest()
                assert result["ModelPackage"] == row.model_package
                marked = self.withdrawn and row.model_package == SECOND
                assert bool(row.withdrawn_at) == marked, "a mark is missing, or one too many"
            if row.status == Status.FAILED:
                tried = (row.collect_tries or 0) >= ROW_TRIES
                assert row.attempt >= 2 or tried, "an upload failed before its tries were used"
                assert not tried or row.code == FailureCode.NOT_COLLECTED
        outputs = [key for bucket, key in self.world.s3.objects if bucket == WORK and key.startswith(OUTPUTS)]
        # A disturbed deletion is not repeated for a batch that was given back: the bucket's rule deletes those.
        assert all(self._failed_as_a_whole(key) for key in outputs), "outputs of ended uploads are left"


def status_of(item: Mapping[str, Any]) -> str:
    """Return the status in an item of a row."""
    return plain(item["Status"]["S"])


def _only_erased(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether a terminal row changed by an erasure: all but its status is unchanged, or nothing is left."""
    if status_of(now) != Status.ERASED:
        return False
    changed = {"Status", "UpdatedAt", "ExpiresAt"}
    return set(now) <= {"UploadId", "Size", "Attempt", *changed} or all(
        now.get(name) == value for name, value in before.items() if name not in changed
    )


def _was_held_up(before: Mapping[str, Any]) -> bool:
    """Return whether the sweep ended the row because nothing tried it; a late try may take it up again."""
    return (status_of(before), before.get("Code", {}).get("S")) == (Status.REFUSED, RefusalCode.HELD_UP)


def _only_withdrawn(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether a terminal row changed as a result may: read again, or marked as the second model's."""
    if status_of(before) != Status.COMPLETED:
        return False
    if now.get("RequeuedAt") != before.get("RequeuedAt") and status_of(now) == Status.PENDING:
        return True
    return plain(before["ModelPackage"]["S"]) == SECOND and now == {**before, "WithdrawnAt": now.get("WithdrawnAt")}
