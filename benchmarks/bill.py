"""Cost of the control plane per 1,000 uploads: counted requests, and those around them, by list price."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks import prices
from benchmarks.metering import Meter

MESSAGES_A_REQUEST = 10  # that SQS takes or gives at once
VCPU_MEMORY = 1769  # MB with which Lambda gives one vCPU
SWEEPS_A_MONTH = 60 * 24 * 30
UNIT_PRICES = {
    "written, table": prices.WRITE_UNIT,
    "written, indexes": prices.WRITE_UNIT,
    "read": prices.READ_UNIT,
}


@dataclass(frozen=True)
class Work:
    """One function's work: invocations, seconds of each, its memory in MB."""

    name: str
    invocations: float
    seconds: float
    memory: int


@dataclass(frozen=True)
class Line:
    """One line of the bill."""

    what: str
    count: float
    usd: float


def counted(meter: Meter) -> list[Line]:
    """Return lines for the functions' requests to AWS."""
    asked = [
        Line(f"{service} {operation}", count, count * prices.price(service, operation))
        for (service, operation), count in meter.requests.items()
        if service != "dynamodb"
    ]
    return asked + [
        Line(f"dynamodb units {unit}", count, count * UNIT_PRICES[unit]) for unit, count in meter.units.items()
    ]


def around(uploads: int, works: list[Work], log_bytes: int) -> list[Line]:
    """Return lines for delivering events to functions and running them."""
    messages = uploads + 2 * math.ceil(uploads / MESSAGES_A_REQUEST)  # one send each, received and deleted by tens
    invocations = sum(work.invocations for work in works)
    lines = [
        Line("eventbridge S3 events", uploads, uploads * prices.S3_EVENT),
        Line("sqs requests of the upload queue", messages, messages * prices.SQS_STANDARD),
        Line("lambda requests", invocations, invocations * prices.LAMBDA_REQUEST),
        Line("cloudwatch log bytes", log_bytes, log_bytes / 1e9 * prices.LOG_GB),
    ]
    for work in works:
        gb_seconds = work.invocations * work.seconds * work.memory / 1024
        lines.append(Line(f"lambda GB-s of {work.name}", gb_seconds, gb_seconds * prices.LAMBDA_GB_SECOND))
    return lines


def show(uploads: int, lines: list[Line]) -> float:
    """Print the bill per 1,000 uploads, most expensive first; return its sum."""
    scale = 1000 / uploads
    total = scale * sum(line.usd for line in lines)
    for line in sorted(lines, key=lambda line: -line.usd):
        if scale * line.usd > 0.0000005:
            print(f"  {line.what:36s} {scale * line.count:10.1f}   ${scale * line.usd:.6f}")
    print(f"  {'sum':36s} {'':10s}   ${total:.6f}")
    return total


def lambda_seconds(waited: float, cpu_seconds: float, memory: int) -> float:
    """How long an invocation runs: as long as it waits for AWS, or as its share of a vCPU needs, whichever is more."""
    return max(waited, cpu_seconds / min(1.0, memory / VCPU_MEMORY))
