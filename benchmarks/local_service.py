"""The service in the local cloud, from the first upload to the last row, against the bare model on the same files.

A model is trained for the given image size, then for each count the bare model, the service and the bare model again
read the same phantoms. What the service adds is S3, events, queues, four functions, the job's start-up and HTTP.

    python -m benchmarks.local_service [--image-size 512] [--counts 25,100,300]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from functions.domain import layout
from functions.domain.row import Status
from tests.training import train
from wetread.connection import Choice, Connection, connect
from wetread.demo.phantoms import write_cohort
from wetread.local import cloud


def bare(artifact: Path, folder: Path) -> float:
    """Seconds that the model alone takes, once loaded, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bare_model", str(artifact.parent / "model"), str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def service(connection: Connection, folder: Path) -> tuple[float, int]:
    """Seconds from the first upload to the last terminal row, and in how many jobs."""
    bucket = connection.deployment.uploads_bucket_name

    def put(path: Path) -> str:
        with path.open("rb") as body:
            key = f"{folder.name}/{path.name}"
            return layout.upload_id(key, connection.s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"])

    started = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        uploads = list(pool.map(put, sorted(folder.glob("*.dcm"))))
    while True:
        rows = connection.index.get_many(uploads)
        if len(rows) == len(uploads) and all(row.status.terminal for row in rows.values()):
            break
        time.sleep(0.5)
    seconds = time.perf_counter() - started
    assert {row.status for row in rows.values()} == {Status.COMPLETED}
    return seconds, len({row.transform_job_name for row in rows.values()})


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser()
    options.add_argument("--image-size", type=int, default=512)
    options.add_argument("--counts", default="25,100,300")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["WETREAD_HOME"] = f"{scratch}/home"
        artifact = train(Path(scratch) / "opt-ml", image_size=chosen.image_size)
        cloud.up(tether=True)
        try:
            connection = connect(Choice(local=True, profile=None, region=None, stack="Wetread"))
            connection.registry.promote(connection.registry.register(artifact).model_package)
            print(f"DenseNet121 at {chosen.image_size} x {chosen.image_size}, {os.cpu_count()} cores")
            print(f"{'slices':>6s} {'bare model':>11s} {'service':>9s} {'service / bare':>15s} {'jobs':>5s}")
            for count in map(int, chosen.counts.split(",")):
                folder = Path(scratch) / f"slices-{count}"
                write_cohort(folder, patients=count // 5, slices_per_patient=5, size=512, seed=count)
                before = bare(artifact, folder)
                whole, jobs = service(connection, folder)
                alone = (before + bare(artifact, folder)) / 2  # on both sides: a shared machine drifts
                print(f"{count:6d} {alone:9.1f} s {whole:7.1f} s {whole / alone:15.2f} {jobs:5d}", flush=True)
        finally:
            cloud.down()


if __name__ == "__main__":
    main()
