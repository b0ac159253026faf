"""The service in the local cloud, from the first upload to the last row, against the bare model on the same files.

A model is trained for the given image size. Then for each count the bare model, the service by transform jobs, the
service by the express lane, and the bare model again read the same phantoms. What the service adds is S3, events,
queues, four functions, a start, and HTTP or the function's calls to S3.

Share: the service's slices a second in those of the bare model. Growth: how many times longer than for the count before
over how many times more slices, so that 1 is linear. Memory: at its peak, of the container, or of the function with its
model's process. Then the phases: from the first upload until the first batch, until it is read (a container starts
before that, or a function and its model's process after it), until the last batch is read, until the last row is there.

    python -m benchmarks.local_service [--image-size 512] [--counts 25,300,900] [--backend openvino-fp32]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.memory import Peak
from functions.aws.objects import Documents
from functions.domain import layout
from functions.domain.lane import Lane, lane_of
from functions.domain.row import Row, Status, moment_of
from localcloud import cloud
from localcloud.home import home_of
from localcloud.host import process
from tests import express_lane
from tests.training import optimise, train
from wetread.connection import Choice, Connection, connect
from wetread.demo.phantoms import write_cohort
from wetread.project import PROJECT

READERS = {Lane.TRANSFORM: "model_code serve", Lane.EXPRESS: "model_code answer"}
HEADER = (
    "slices lane           bare  service  / bare  share growth batches   memory"
    "   to batch   to start    reading    to rows"
)


@dataclass(frozen=True)
class Run:
    """Cost of some slices: seconds of each phase, batches, and the reader's peak memory in bytes."""

    phases: tuple[float, float, float, float]
    batches: int
    peak_bytes: int

    @property
    def seconds(self) -> float:
        """From the first upload to the last row."""
        return sum(self.phases)


def bare(artifact: Path, folder: Path) -> float:
    """Return seconds of the model alone, once loaded, in a separate process."""
    command = [sys.executable, "-m", "benchmarks.bare_model", str(artifact.parent / "model"), str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def service(connection: Connection, folder: Path, lane: Lane) -> Run:
    """Measure one lane from the first upload to the last terminal row."""
    express_lane.switch(connection, on=lane is Lane.EXPRESS)
    bucket = connection.deployment.uploads_bucket_name
    peak = Peak(process.running(home_of(PROJECT)) or 0, READERS[lane])

    def put(path: Path) -> str:
        with path.open("rb") as body:
            key = f"{lane}/{folder.name}/{path.name}"
            return layout.upload_id(key, connection.s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"])

    started = time.time()
    with peak.watching():
        with ThreadPoolExecutor(4) as pool:
            uploads = list(pool.map(put, sorted(folder.glob("*.dcm"))))
        rows = _terminal(connection, uploads)
    ended = time.time()
    assert {row.status for row in rows.values()} == {Status.COMPLETED}
    assert {lane_of(row) for row in rows.values()} == {lane}
    names = {row.batch_id or "": row.transform_job_name or "" for row in rows.values()}
    batched = min(moment_of(batch.created_at).timestamp() for batch in map(connection.batches.get, names) if batch)
    began, read = _read(connection, names.values(), lane)
    return Run((batched - started, began - batched, read - began, ended - read), len(names), peak.bytes)


def _read(connection: Connection, names: Iterable[str], lane: Lane) -> tuple[float, float]:
    """Return when the first job or run began to read, and when the last one ended."""
    if lane is Lane.EXPRESS:
        work = Documents(connection.s3, connection.deployment.work_bucket_name)
        at = [[_at(work, key(name)) for key in (layout.run_begun_key, layout.run_ended_key)] for name in names]
    else:
        jobs = [connection.sagemaker.describe_transform_job(TransformJobName=name) for name in names]
        at = [[job[key].timestamp() for key in ("TransformStartTime", "TransformEndTime")] for job in jobs]
    return min(began for began, _ in at), max(ended for _, ended in at)


def _at(work: Documents, key: str) -> float:
    return moment_of(json.loads(work.find(key) or b"{}")["At"]).timestamp()


def _terminal(connection: Connection, uploads: Sequence[str]) -> dict[str, Row]:
    """Wait until each row is terminal and return all. Poll one at a time: polling all of them slows the job."""
    rows: dict[str, Row] = {}
    for one in uploads:
        while one not in rows:
            latest = connection.index.get_many([one])
            if one in latest and latest[one].status.terminal:
                pending = [upload for upload in uploads if upload not in rows]
                rows |= {key: row for key, row in connection.index.get_many(pending).items() if row.status.terminal}
            else:
                time.sleep(0.5)
    return rows


def _line(count: int, lane: Lane, alone: float, run: Run, growth: str) -> str:
    phases = " ".join(f"{seconds:8.1f} s" for seconds in run.phases)
    return (
        f"{count:6d} {lane:10s} {alone:6.1f} s {run.seconds:6.1f} s {run.seconds / alone:7.2f} "
        f"{alone / run.seconds:6.0%} {growth:>6s} {run.batches:7d} {run.peak_bytes / 1e6:5.0f} MB {phases}"
    )


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser()
    options.add_argument("--image-size", type=int, default=512)
    options.add_argument("--counts", default="25,300,900")
    options.add_argument("--backend", default="openvino-fp32", help="computes the network")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["WETREAD_HOME"] = f"{scratch}/home"
        trained = train(Path(scratch) / "opt-ml", image_size=chosen.image_size)
        artifact = optimise(trained.parent)[chosen.backend] / "model.tar.gz"
        cloud.up(PROJECT, tether=True)
        try:
            connection = connect(Choice(local=True, profile=None, region=None, stack="Wetread"))
            connection.registry.promote(connection.registry.register(artifact).model_package)
            print(f"DenseNet121 at {chosen.image_size} x {chosen.image_size}, {chosen.backend}, {os.cpu_count()} cores")
            print(HEADER)
            last: dict[Lane, tuple[int, float]] = {}
            for count in map(int, chosen.counts.split(",")):
                folder = Path(scratch) / f"slices-{count}"
                write_cohort(folder, patients=count // 5, slices_per_patient=5, size=512, seed=count)
                before = bare(artifact, folder)
                runs = {lane: service(connection, folder, lane) for lane in Lane}
                alone = (before + bare(artifact, folder)) / 2  # before and after: a shared machine drifts
                for lane, run in runs.items():
                    growth = f"{run.seconds / last[lane][1] / (count / last[lane][0]):.2f}" if lane in last else "-"
                    last[lane] = count, run.seconds
                    print(_line(count, lane, alone, run, growth), flush=True)
        finally:
            cloud.down(PROJECT)


if __name__ == "__main__":
    main()
