"""Both lanes in virtual time: from arrival to row, and what each costs, for a lone upload and for a study.

The functions' own code runs over an AWS in memory. Stated and not measured on AWS: the times below. A slice's is that
of docs/performance.md for two cores, times two, over the cores of the function; 1,769 MB are one vCPU, half a core.

    python -m benchmarks.express
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import prices
from benchmarks.bill import VCPU_MEMORY
from functions.domain.lane import ExpressLimits, Lane
from functions.domain.row import Status
from infra.config import StageConfig
from tests.fakes.dicom import ct
from tests.fakes.world import SCRIPT_SHA256, World, answer
from tests.simulation.express import Environments

STAGE = StageConfig(express=True, tick_window_seconds=2, tick_delay_seconds=3)
EVENT_SECONDS = 1.5  # from the upload to its row: S3's event, a queue, ingest
STEP_SECONDS = 1.0  # of dispatch, and of a queue with collect
COLD_SECONDS = 15.0  # a new environment: the image, the artifact, the model's process
WARM_SECONDS = 0.1
HOST_SECONDS = 150.0  # that a transform job bills and waits before its first slice
SLICE_CORE_SECONDS = 2 * 0.16  # of one core, openvino-fp32 at 512 x 512
HOST_CORES = 2  # of an ml.m5.xlarge
X86_GB_SECOND = 0.0000166667
GOALS = {("lone", "warm"): 10.0, ("lone", "cold"): 30.0, ("study", "cold"): 90.0}
LONE_USD = 0.0005  # the goal for a lone upload


@dataclass(frozen=True)
class Answered:
    """Seconds from the arrival to the last row, and dollars without the control plane."""

    seconds: float
    usd: float


def function_seconds(slices: int) -> float:
    """Return how long a run computes so many slices."""
    cores = STAGE.express_memory_mb / VCPU_MEMORY / 2
    return slices * SLICE_CORE_SECONDS / cores


def second_usd() -> float:
    """Return what a second of a run costs."""
    return STAGE.express_memory_mb / 1024 * X86_GB_SECOND


def longest_start() -> float:
    """Return how long a run may start so that a lone upload still costs no more than its goal."""
    return (LONE_USD - prices.LAMBDA_REQUEST) / second_usd() - function_seconds(1)


def express(slices: int, start: float) -> Answered:
    """Return the express lane's answer to slices that arrive together; each run starts in so many seconds."""
    limits = ExpressLimits(
        express=True,
        express_concurrency=STAGE.express_concurrency,
        express_max=STAGE.express_max,
        express_per_day=STAGE.express_per_day,
        express_script_sha256=SCRIPT_SHA256,
    )
    world = World(express=limits, window_seconds=STAGE.tick_window_seconds, max_batch=STAGE.max_batch)
    world.set_champion()
    began = world.time
    for number in range(slices):
        world.ingesting.take(world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
    world.wait(EVENT_SECONDS + STAGE.tick_delay_seconds + STEP_SECONDS)
    world.dispatching.run()
    invoked, billed, environments = world.time, 0.0, Environments(world)
    sizes = {order["Job"]: len(world.manifest(order["Job"])) for order in world.functions.waiting}
    for order in sorted(world.functions.waiting, key=lambda one: sizes[one["Job"]]):
        took = start + function_seconds(sizes[order["Job"]])
        billed += took
        world.wait(max(0.0, took - (world.time - invoked).total_seconds()))
        environments.invoke(order, answer)
    world.wait(STEP_SECONDS)
    for message in environments.messages:
        world.collecting.collect(*message)
    assert {(row.status, row.lane) for row in world.rows()} == {(Status.COMPLETED, Lane.EXPRESS)}
    usd = billed * second_usd() + len(sizes) * prices.LAMBDA_REQUEST
    return Answered((world.time - began).total_seconds(), usd)


def job(slices: int) -> Answered:
    """Return a transform job's answer to the same, in a stage without the lane."""
    busy = HOST_SECONDS + slices * SLICE_CORE_SECONDS / HOST_CORES
    waited = EVENT_SECONDS + StageConfig().tick_delay_seconds + STEP_SECONDS + busy + STEP_SECONDS
    return Answered(waited, busy * prices.HOST_HOUR / 3600)


def crossing(start: float) -> int:
    """Return from how many slices on a transform job costs no more than one run."""
    a_second = second_usd()
    fixed = HOST_SECONDS * prices.HOST_HOUR / 3600 - start * a_second
    each = function_seconds(1) * a_second - SLICE_CORE_SECONDS / HOST_CORES * prices.HOST_HOUR / 3600
    return round(fixed / each)


def main() -> None:
    """Print times, costs, and where the costs cross."""
    print(f"{STAGE.express_memory_mb} MB, {STAGE.express_concurrency} runs at once; {prices.AS_OF}")
    for name, slices in (("lone", 1), ("study", 300)):
        for heat, start in (("warm", WARM_SECONDS), ("cold", COLD_SECONDS)):
            one, goal = express(slices, start), GOALS.get((name, heat))
            said = f", goal {goal:g} s" if goal else ""
            print(f"{name:6s}{slices:4d}  express, {heat}   {one.seconds:6.1f} s{said:14s}  ${one.usd:.6f}")
        one = job(slices)
        print(f"{name:6s}{slices:4d}  transform job    {one.seconds:6.1f} s{'':14s}  ${one.usd:.6f}")
    print(f"costs cross at {crossing(WARM_SECONDS)} slices (warm), {crossing(COLD_SECONDS)} (cold)")
    print(f"a lone upload costs ${LONE_USD} or less where the function starts within {longest_start():.1f} s")


if __name__ == "__main__":
    main()
