"""Time of the workflow's functions for a large cohort: the snapshot and the data gate, with the audit's job.

python -m benchmarks.snapshot [LINES]     (LINES of the manifest, 10,000 when absent)

AWS is in memory and answers at once, so the seconds are the functions' own work on one core; the calls are what they
would wait for, and a line says how long that is at a latency that S3 often has.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from functions.domain import layout
from functions.flow.gating import Subject
from functions.flow.snapshotting import WORKERS
from tests.fakes.workflow import Workflow, audit

CLASSES, SLICES_PER_PATIENT = 3, 10
LATENCY_SECONDS = 0.03
CALLS_PER_LINE = {"first": 3, "again": 2}  # HEAD of the copy, GET of the header, COPY if it is missing

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds of ``work``, and its result."""
    gc.collect()
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def main() -> None:
    """Print the times, and how a second run of the same cohort compares."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    patients = max(6, -(-wanted // (CLASSES * SLICES_PER_PATIENT)))
    workflow = Workflow()
    uri = workflow.put_cohort(patients_per_class=patients, slices_per_patient=SLICES_PER_PATIENT)
    first, taken = timed(lambda: workflow.take(uri, "first"))
    again, second = timed(lambda: workflow.take(uri, "again"))
    assert taken["Taken"], taken["Reasons"]
    assert second["SnapshotDigest"] == taken["SnapshotDigest"]
    workflow.write(layout.audit_key(taken["Run"]), audit(taken))
    judged, verdict = timed(lambda: workflow.judge(Subject.AUDIT, taken))
    assert verdict.passed, verdict.reasons
    lines = taken["Slices"]
    print(f"{lines} lines of {CLASSES * patients} patients")
    for name, seconds in (("first", first), ("again", again)):
        waiting = lines * CALLS_PER_LINE[name] * LATENCY_SECONDS / WORKERS
        print(
            f"  snapshot, {name:5s}  {seconds:6.2f} s   {1000 * seconds / lines:5.2f} ms a line; "
            f"with S3 at {1000 * LATENCY_SECONDS:.0f} ms a call about {max(seconds, waiting):.0f} s "
            f"({WORKERS} at once; Lambda has 900 s)"
        )
    print(f"  data gate        {judged:6.2f} s   {judged / first:5.3f} x the snapshot")
    print(
        f"  peak memory      {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:6.0f} MiB, the cohort included"
    )


if __name__ == "__main__":
    main()
