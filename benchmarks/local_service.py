"""The service in the local cloud, from the first upload to the last row, against the bare model on the same files.

A model is trained for the given image size, then for each count the bare model, the service and the bare model again
read the same phantoms. What the service adds is S3, events, queues, four functions, the job's start-up and HTTP.

Share: the service's slices a second in those of the bare model. Growth: how many times longer than for the count before
over how many times more slices, so that 1 is linear. Memory: the container's, at its peak. Then the phases: from the
first upload until the job is created, until it ends (the container's start included), until the last row is there.

    python -m benchmarks.local_service [--image-size 512] [--counts 25,300,900] [--backend openvino-fp32]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.memory import Peak
from functions.domain import layout
from functions.domain.row import Row, Status
from localcloud import cloud
from localcloud.home import home_of
from localcloud.host import process
from tests import express_lane
from tests.training import optimise, train
from wetread.connection import Choice, Connection, connect
from wetread.demo.phantoms import write_cohort
from wetread.project import PROJECT

CONTAINER = "model_code serve"
HEADER = "slices      bare  service  / bare  share growth jobs    memory    to job   reading   to rows"


@dataclass(frozen=True)
class Run:
    """Cost of some slices: seconds by phase, and the container's peak memory in bytes."""

    seconds: float
    until_job: float
    until_read: float
    until_rows: float
    jobs: int
    peak_bytes: int


def bare(artifact: Path, folder: Path) -> float:
    """Return seconds of the model alone, once loaded, in a separate process."""
    command = [sys.executable, "-m", "benchmarks.bare_model", str(artifact.parent / "model"), str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def service(connection: Connection, folder: Path) -> Run:
    """Measure from the first upload to the last terminal row."""
    bucket = connection.deployment.uploads_bucket_name
    peak = Peak(process.running(home_of(PROJECT)) or 0, CONTAINER)

    def put(path: Path) -> str:
        with path.open("rb") as body:
            key = f"{folder.name}/{path.name}"
            return layout.upload_id(key, connection.s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"])

    started = time.time()
    with peak.watching():
        with ThreadPoolExecutor(4) as pool:
            uploads = list(pool.map(put, sorted(folder.glob("*.dcm"))))
        rows = _terminal(connection, uploads)
    ended = time.time()
    assert {row.status for row in rows.values()} == {Status.COMPLETED}
    names = {row.transform_job_name or "" for row in rows.values()}
    jobs = [connection.sagemaker.describe_transform_job(TransformJobName=name) for name in names]
    created = min(job["CreationTime"] for job in jobs).timestamp()
    read = max(job["TransformEndTime"] for job in jobs).timestamp()
    return Run(ended - started, created - started, read - created, ended - read, len(jobs), peak.bytes)


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
            express_lane.switch(connection, on=False)  # the figures are those of jobs
            connection.registry.promote(connection.registry.register(artifact).model_package)
            print(f"DenseNet121 at {chosen.image_size} x {chosen.image_size}, {chosen.backend}, {os.cpu_count()} cores")
            print(HEADER)
            last: tuple[int, float] | None = None
            for count in map(int, chosen.counts.split(",")):
                folder = Path(scratch) / f"slices-{count}"
                write_cohort(folder, patients=count // 5, slices_per_patient=5, size=512, seed=count)
                before = bare(artifact, folder)
                run = service(connection, folder)
                alone = (before + bare(artifact, folder)) / 2  # before and after: a shared machine drifts
                growth = f"{run.seconds / last[1] / (count / last[0]):.2f}" if last else "-"
                last = count, run.seconds
                print(
                    f"{count:6d} {alone:7.1f} s {run.seconds:6.1f} s {run.seconds / alone:7.2f} "
                    f"{alone / run.seconds:6.0%} {growth:>6s} {run.jobs:4d} {run.peak_bytes / 1e6:6.0f} MB "
                    f"{run.until_job:7.1f} s {run.until_read:7.1f} s {run.until_rows:7.1f} s",
                    flush=True,
                )
        finally:
            cloud.down(PROJECT)


if __name__ == "__main__":
    main()
