"""What a stage costs a month when nothing arrives, and a training run, by list price.

The template and an idle sweep are counted.

python -m benchmarks.monthly     (prints the table of docs/operations.md)

Prices are those of benchmarks/prices.py and those below, of us-east-1, typed in as known in November 2026 and not
fetched; free tiers are left out. That Lambda keeps five long polls of 20 s at a queue is from memory, too.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import bill, prices
from benchmarks.metering import LATENCY
from benchmarks.plane import Plane, quiet
from functions import sweep

TEMPLATE = Path(__file__).parents[1] / "tests/infra/__snapshots__/test_service"  # a file for each construct
ALARM = 0.10  # cloudwatch/pricing: standard resolution
CUSTOM_METRIC = 0.30  # cloudwatch/pricing: the first 10,000
DASHBOARD = 3.00  # cloudwatch/pricing
KEY = 1.00  # kms/pricing: a customer's key; its first two rotations add 1.00 each
TRAINING_HOUR = 0.461  # sagemaker/pricing: ml.m5.2xlarge
PROCESSING_HOUR = 0.23  # sagemaker/pricing: ml.m5.xlarge
PROCESSING_JOBS = 3
TRACE = 5.00 / 1_000_000  # xray/pricing: recorded
ECR_GB = 0.10  # ecr/pricing: storage
POLLS = 5 * 3 * 60 * 24 * 30  # five long polls of 20 s at each queue, at all times
TABLE_KEY_USES = 12 * 24 * 30  # DynamoDB asks KMS for a table's key every five minutes while there is traffic
PLATFORM_LOG = 500  # bytes that Lambda itself logs of an invocation; an assumption
IMAGE_GB = 1.64  # of the CPU image, unpacked; ECR stores it compressed


@dataclass(frozen=True)
class Item:
    """One row: what there is, how many, USD a month."""

    what: str
    count: float
    usd: float


def resources() -> dict[str, Any]:
    """Return the resources of the template that was reviewed, of the stage ``default``."""
    return {name: one for part in TEMPLATE.glob("*.json") for name, one in json.loads(part.read_text()).items()}


def items() -> list[Item]:
    """Return the rows of the fixed bill."""
    template = {name: one for name, one in resources().items() if isinstance(one, dict) and "Type" in one}
    kinds = Counter(one["Type"] for one in template.values())
    requests, log_bytes, metrics = _idle_sweep(_memory(template))
    alarms, keys = kinds["AWS::CloudWatch::Alarm"], kinds["AWS::KMS::Key"]
    tables, dashboards = kinds["AWS::DynamoDB::Table"], kinds["AWS::CloudWatch::Dashboard"]
    sweeps = bill.SWEEPS_A_MONTH
    logged = sweeps * log_bytes / 1e9
    return [
        Item("CloudWatch alarms", alarms, alarms * ALARM),
        Item("CloudWatch dashboards", dashboards, dashboards * DASHBOARD),
        Item("custom metrics that each sweep writes", len(metrics), len(metrics) * CUSTOM_METRIC),
        Item("KMS keys", keys, keys * KEY),
        Item(
            "KMS requests of the tables, at most", tables * TABLE_KEY_USES, tables * TABLE_KEY_USES * prices.KMS_REQUEST
        ),
        *_polls(template),
        Item("sweeps: requests to AWS and Lambda", sweeps, sweeps * requests),
        Item("sweeps: traces", sweeps, sweeps * TRACE),
        Item("sweeps: GB of log", round(logged, 2), round(logged, 2) * prices.LOG_GB),
        Item("container image in ECR, GB at most", IMAGE_GB, IMAGE_GB * ECR_GB),
    ]


def _memory(template: dict[str, Any]) -> int:
    (found,) = (
        one["Properties"]["MemorySize"]
        for name, one in template.items()
        if one["Type"] == "AWS::Lambda::Function" and name.startswith("BatchSweep")
    )
    return int(found)


def _idle_sweep(memory: int) -> tuple[float, int, set[str]]:
    """Return USD of one sweep that has nothing to do, its bytes of log in hundreds, and its metrics."""
    idle = Plane(0)
    reporting = dataclasses.replace(idle.world.sweeping, report=sweep._report)
    sweep._sweeping = lambda: reporting  # type: ignore[assignment]
    idle.meter.reset()
    with quiet() as log:
        idle.sweep()
    seconds = sum(count * LATENCY[service] for (service, _), count in idle.meter.requests.items())
    work = [bill.Work("sweep", 1, seconds, memory)]
    usd = sum(line.usd for line in bill.counted(idle.meter) + bill.around(0, work, 0))
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    metrics = {
        metric["Name"]
        for line in lines
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", [])
        for metric in directive["Metrics"]
    }
    return usd, round((len(log.getvalue().encode()) + PLATFORM_LOG) / 100) * 100, metrics


def _polls(template: dict[str, Any]) -> list[Item]:
    """Return the empty receives of the event source mappings, by the kind of queue."""
    polled = Counter(
        bool(template[one["Properties"]["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"].get("FifoQueue"))
        for one in template.values()
        if one["Type"] == "AWS::Lambda::EventSourceMapping"
    )
    return [
        Item(
            f"empty receives of {number} {kind} queue{'s' if number > 1 else ''}",
            number * POLLS,
            number * POLLS * price,
        )
        for number, kind, price in (
            (polled[False], "standard", prices.SQS_STANDARD),
            (polled[True], "FIFO", prices.SQS_FIFO),
        )
    ]


def table() -> str:
    """Return the rows as docs/operations.md has them, with their sum."""
    rows = items()
    lines = [f"| {row.what} | {row.count:,} | {row.usd:.2f} |" for row in rows]
    return "\n".join(
        [
            "| item | number | USD a month |",
            "|---|---|---|",
            *lines,
            f"| **sum** | | **{sum(row.usd for row in rows):.2f}** |",
        ]
    )


def training_run(hours: float, processing_hours: float) -> float:
    """Return USD of a run that trains for some hours; its audit, optimisation and evaluation take some hours each."""
    return hours * TRAINING_HOUR + PROCESSING_JOBS * processing_hours * PROCESSING_HOUR


def variable() -> str:
    """Return the sentence of docs/operations.md on a training run."""
    return (
        f"A training run costs ${TRAINING_HOUR} for each hour of training and ${PROCESSING_HOUR} for each hour of its "
        f"{PROCESSING_JOBS} other jobs: ${training_run(1, 1 / 6):.2f} with an hour of training and ten minutes each."
    )


if __name__ == "__main__":
    print(table())
    print(variable())
