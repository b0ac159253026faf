"""The control plane at scale: ingest of a full batch, collect of up to 5,000 outputs, what 1,000 uploads cost.

python -m benchmarks.control_plane [OUTPUTS]     (OUTPUTS of the largest job, 5,000 when absent)

The functions' own handlers over an AWS in memory, with the printed latency (really slept) for each
request. Memory is measured in a separate run, without latency: tracing slows everything.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import bill
from benchmarks.bill import Work
from benchmarks.boto_work import cpu_milliseconds
from benchmarks.metering import LATENCY, MANY_ITEMS, Meter
from benchmarks.partitions import rates
from benchmarks.plane import SLICES_PER_STUDY, SQS_BATCH, Plane, quiet
from functions import ingest
from functions.aws.shards import SHARDS, dealt
from functions.flow.collecting import READERS
from functions.flow.concluding import AT_ONCE, CONCLUDE_SECONDS
from infra.config import StageConfig

ROUNDS = 3
TEMPLATE = Path("tests/infra/__snapshots__/test_service")  # a file for each construct


@dataclass(frozen=True)
class Limits:
    """A function's memory (MB) and timeout (seconds) in the template."""

    memory: int
    timeout: int


def limits(function: str) -> Limits:
    """Read them from the template snapshot."""
    for part in TEMPLATE.glob("*.json"):
        for name, resource in json.loads(part.read_text()).items():
            if name.startswith(function) and resource["Type"] == "AWS::Lambda::Function":
                return Limits(resource["Properties"]["MemorySize"], resource["Properties"]["Timeout"])
    raise LookupError(function)


def timed(meter: Meter, work: Callable[[], object]) -> float:
    """Return the seconds of ``work``, with the latency of requests."""
    gc.collect()
    started = time.perf_counter()
    with meter.real_time():
        work()
    return time.perf_counter() - started


def ingest_times() -> float:
    """Print ingest of one full batch, in parallel and one by one; return the seconds in parallel."""
    at_once = ingest.WORKERS
    seconds: dict[int, list[float]] = {at_once: [], 1: []}
    for _ in range(ROUNDS):
        for workers, measured in seconds.items():
            plane = Plane(SQS_BATCH)
            ingest.WORKERS = workers
            with quiet():
                measured.append(timed(plane.meter, plane.ingest))
    ingest.WORKERS = at_once
    together, alone = median(seconds[at_once]), median(seconds[1])
    given = limits("IntakeIngest")
    print(f"ingest of {SQS_BATCH} uploads, one invocation, median of {ROUNDS} rounds")
    print(
        f"  {at_once:2d} at once     {together:6.2f} s   {100 * together / given.timeout:4.1f} % of {given.timeout} s"
    )
    print(f"   1 at a time  {alone:6.2f} s   {alone / together:4.1f} x as long")
    return together


@dataclass
class Collected:
    """A job of so many outputs, from its uploads to its rows: seconds, requests of collect alone, bytes of log."""

    size: int
    plane: Plane
    dispatch_seconds: float
    seconds: float
    requests: int
    log_bytes: int


def collect_job(size: int) -> Collected:
    """Ingest uploads at once, then dispatch and collect them with latency."""
    with quiet() as log:
        plane = Plane(size)
        plane.ingest()
        dispatched = timed(plane.meter, plane.dispatch)
        name = plane.end_job()
        before = plane.meter.requests.total()
        seconds = timed(plane.meter, partial(plane.collect, name))
    return Collected(
        size, plane, dispatched, seconds, plane.meter.requests.total() - before, len(log.getvalue().encode())
    )


def memory_of_collect(size: int) -> float:
    """collect's peak memory in MiB, without the data that the AWS in memory keeps."""
    with quiet():
        plane = Plane(size)
        plane.ingest()
        plane.dispatch()
        name = plane.end_job()
        gc.collect()
        tracemalloc.start()
        plane.collect(name)
        _, peak = tracemalloc.get_traced_memory()
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    plane.check()
    return (peak - kept) / 1024**2


def collect_growth(sizes: list[int]) -> Collected:
    """Print time and memory of collect by the job's size; return the largest."""
    given = limits("BatchCollect")
    print(f"collect of one job, {READERS} rows at once; Lambda gives {given.timeout} s and {given.memory} MB")
    print("  outputs   seconds             memory                requests a row")
    for size in sizes:
        job = collect_job(size)
        own = memory_of_collect(size)
        print(
            f"  {size:7d}   {job.seconds:6.2f} s {100 * job.seconds / given.timeout:5.1f} %"
            f"   {own:6.2f} MiB {100 * own / given.memory:5.2f} %   {job.requests / size:6.3f}"
        )
    return job


def studies(size: int) -> None:
    """Print the time and memory of closing a study of ``size`` slices, and of small ones, by size.

    Then at which rate closing ends with several invocations: each closes for CONCLUDE_SECONDS of a minute.
    """
    given = limits("BatchSweep")
    print(f"an invocation of the sweep closes studies, {AT_ONCE} at once; Lambda gives {given.memory} MB")
    print("  slices   studies   seconds a study   uploads/s   memory                longest of 4 shares")
    rates = {}
    for slices, number in sorted({(1, 80), (SLICES_PER_STUDY, 32), (size, 1)}):
        with quiet():
            plane = _all_read(slices, number)
            seconds = timed(plane.meter, plane.close_studies)
            shared = _all_read(slices, number)
            longest = max(timed(shared.meter, partial(shared.close_studies, share)) for share in dealt(4))
        memory, given_bytes = _memory_of_closing(slices, number), given.memory * 1024**2
        rates[slices] = CONCLUDE_SECONDS / 60 * number / seconds
        print(
            f"  {slices:6d}   {number:7d}   {seconds / number:13.2f} s   {slices * number / seconds:9,.0f}"
            f"   {memory / 1024**2:6.1f} MiB {memory / given_bytes:6.2%}   {longest / seconds:5.0%} of the whole"
        )
    print(f"closing ends at, by `closers`; each closes for {CONCLUDE_SECONDS} s of a minute")
    for closers in (1, StageConfig().closers, SHARDS):
        ends = (
            f"{slices} slices {rate * closers:6.1f} studies/s, {slices * rate * closers:6,.0f} uploads/s"
            for slices, rate in rates.items()
        )
        print(f"  {closers:2d}: " + "; ".join(ends))


def _all_read(slices: int, number: int) -> Plane:
    plane = Plane(slices * number, slices)
    plane.read()
    return plane


def _memory_of_closing(slices: int, number: int) -> int:
    """Return the peak of closing so many studies, in bytes."""
    with quiet():
        plane = _all_read(slices, number)
        gc.collect()
        tracemalloc.start()
        assert plane.close_studies() == number
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


def transactions(size: int) -> None:
    """Print collect's row writes as they are, and as transactions of 100, on the same rows."""
    with quiet():
        plane = Plane(size)
        plane.ingest()
        plane.dispatch()
        name = plane.end_job()
        before = {table: dict(items) for table, items in plane.world.dynamodb.tables.items()}
        plane.meter.keep = True
        plane.collect(name)
        plane.meter.keep = False
    updates, table = plane.meter.updates, plane.world.clients["dynamodb"]

    def all_or_none(requests: list[Any]) -> None:
        table.transact_write_items(TransactItems=[{"Update": request} for request in requests])

    ways: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
        "a row each": (lambda request: table.update_item(**request), updates),
        "100 in a transaction": (all_or_none, [updates[start : start + 100] for start in range(0, len(updates), 100)]),
    }
    print(f"conditional writes of {size} rows, {READERS} requests at once")
    for way, (write, work) in ways.items():
        plane.world.dynamodb.tables.update({name: dict(items) for name, items in before.items()})
        plane.meter.units.clear()
        with ThreadPoolExecutor(READERS) as pool:
            seconds = timed(plane.meter, lambda pool=pool, write=write, work=work: list(pool.map(write, work)))  # type: ignore[misc]
        print(f"  {way:22s} {seconds:6.2f} s   {plane.meter.units.total() / size:5.2f} write units a row")


def cost(job: Collected, ingest_seconds: float) -> None:
    """Print boto3's own cost, and the bill."""
    work = cpu_milliseconds()
    print("boto3's own CPU time a call, here: " + ", ".join(f"{name} {value:.1f} ms" for name, value in work.items()))
    per_call = sum(work.values()) / len(work) / 1000
    ingested, collected, dispatched = (limits(name) for name in ("IntakeIngest", "BatchCollect", "BatchDispatch"))
    of_ingest = bill.lambda_seconds(ingest_seconds, 4 * SQS_BATCH * per_call, ingested.memory)
    of_collect = bill.lambda_seconds(job.seconds, job.requests * per_call, collected.memory)
    print(
        f"  with it, on Lambda's share of a vCPU: ingest of {SQS_BATCH} {of_ingest:.1f} s of {ingested.timeout}, "
        f"collect of {job.size} {of_collect:.0f} s of {collected.timeout}"
    )
    works = [
        Work("ingest", job.size / SQS_BATCH, of_ingest, ingested.memory),
        Work("dispatch", 1, job.dispatch_seconds, dispatched.memory),
        Work("collect", 1, of_collect, collected.memory),
    ]
    print(f"per 1,000 of {job.size} uploads in one job, {SLICES_PER_STUDY} slices a study, full batches; us-east-1")
    bill.show(job.size, bill.counted(job.plane.meter) + bill.around(job.size, works, job.log_bytes))
    idle = Plane(0)
    idle.meter.units.clear()
    idle.meter.requests.clear()
    with quiet():
        seconds = timed(idle.meter, idle.sweep)
    a_sweep = [Work("sweep", 1, seconds, limits("BatchSweep").memory)]
    month = bill.SWEEPS_A_MONTH * sum(one.usd for one in bill.counted(idle.meter) + bill.around(0, a_sweep, 0))
    print(f"  besides, whatever arrives: {bill.SWEEPS_A_MONTH} sweeps a month, ${month:.2f}")


def main() -> None:
    """Print everything."""
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    shown = ", ".join(f"{service} {1000 * seconds:.0f} ms" for service, seconds in LATENCY.items())
    print(f"latency a request, slept: {shown}; of many items {1000 * MANY_ITEMS:.0f} ms")
    ingest_seconds = ingest_times()
    job = collect_growth(sorted({min(100, largest), min(1000, largest), largest}))
    studies(largest)
    rates(min(1000, largest))
    transactions(min(1000, largest))
    cost(job, ingest_seconds)


if __name__ == "__main__":
    main()
