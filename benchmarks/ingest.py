"""Cost of ingest: bytes read per object against the whole object, and the import time of each Lambda function.

python -m benchmarks.ingest [FOLDER]     (FOLDER: DICOM files; phantoms when absent)
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from functions.domain.header import FIRST_READ
from tests.fakes.world import SERVED, World, relabelled
from wetread.demo.phantoms import write_cohort

FUNCTIONS = ("ingest", "dispatch", "collect", "sweep")
RUNS = 5


def bytes_read(folder: Path) -> None:
    """Ingest every file and count the bytes read."""
    files = sorted(folder.rglob("*.dcm"))
    world = World(served=relabelled(SERVED, transfer_syntax_uids=_AnySyntax()))
    read: list[int] = []
    for path in files:
        before = world.s3.bytes_read
        world.ingesting.take(world.upload(path.name, path.read_bytes()))
        read.append(world.s3.bytes_read - before)
    whole = sum(path.stat().st_size for path in files)
    print(f"{len(files)} objects of {whole / len(files) / 1024:.0f} KiB on average")
    print(
        f"  read per object: median {statistics.median(read) / 1024:.0f} KiB, most {max(read) / 1024:.0f} KiB", end=""
    )
    print(f" (first read: {FIRST_READ // 1024} KiB); {whole / sum(read):.1f} times less than the whole objects")


class _AnySyntax(tuple[str, ...]):
    """Serves every transfer syntax: only the bytes read matter here."""

    def __contains__(self, _syntax: object) -> bool:
        return True


def import_times() -> None:
    """Import each function in a separate process, in turn with an interpreter that imports boto3 alone."""
    modules = ["boto3", *(f"functions.{name}" for name in FUNCTIONS)]
    times: dict[str, list[float]] = {module: [] for module in modules}
    for _ in range(RUNS):
        for module in modules:
            program = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
            done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
            times[module].append(float(done.stdout))
    base = statistics.median(times["boto3"])
    print(f"import time, median of {RUNS} processes")
    for module, values in times.items():
        print(
            f"  {module:20s} {statistics.median(values):6.2f} s   {statistics.median(values) / base:4.1f} x boto3 alone"
        )


def main() -> None:
    """Print both."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch)
        if len(sys.argv) == 1:
            write_cohort(folder, patients=10, slices_per_patient=4)
        bytes_read(folder)
    import_times()


if __name__ == "__main__":
    main()
