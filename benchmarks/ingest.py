"""What ingest costs: bytes read per object, the dearest headers, and the import time of each Lambda function.

python -m benchmarks.ingest [FOLDER]     (FOLDER: DICOM files; phantoms when absent)
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import dear_headers
from functions.flow.intake import FIRST_READ
from tests.fakes.world import SERVED, World, relabelled
from wetread.demo.phantoms import write_cohort

FUNCTIONS = ("ingest", "dispatch", "collect", "sweep")
RUNS = 5
ONE = """
import sys, time
from benchmarks import dear_headers
from functions import ingest
from functions.domain.errors import Refusal
from functions.flow.intake import header_of
body, times, code = dear_headers.objects()[sys.argv[1]], [], "Read"
def held(what):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith(what))
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")  # Linux forgets the peak of making the object
before = held("VmRSS")
for _ in range(3):
    started = time.process_time()
    try:
        header_of(lambda length: body[:length], len(body))
    except Refusal as refusal:
        code = refusal.code
    times.append(time.process_time() - started)
print(min(times), held("VmHWM") - before, before, code)
"""


def bytes_read(folder: Path) -> None:
    """Take every file in, count what was read of it."""
    files = sorted(folder.rglob("*.dcm"))
    world = World(served=relabelled(SERVED, transfer_syntax_uids=_AnySyntax()))
    read: list[int] = []
    for path in files:
        before = world.s3.bytes_read
        world.intake.take(world.upload(path.name, path.read_bytes()))
        read.append(world.s3.bytes_read - before)
    whole = sum(path.stat().st_size for path in files)
    print(f"{len(files)} objects of {whole / len(files) / 1024:.0f} KiB on average")
    print(
        f"  read per object: median {statistics.median(read) / 1024:.0f} KiB, most {max(read) / 1024:.0f} KiB", end=""
    )
    print(f" (first read: {FIRST_READ // 1024} KiB); {whole / sum(read):.1f} times less than the whole objects")


class _AnySyntax(frozenset[str]):
    """Serves every transfer syntax: the question here is only what is read."""

    def __contains__(self, _syntax: object) -> bool:
        return True


def import_times() -> None:
    """Import each function in a process of its own, in turn with an interpreter that imports boto3 alone."""
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


def dearest_headers() -> None:
    """CPU time and memory of each of the objects that cost the most, in a process of its own for each."""
    print("the dearest headers: CPU time of one; resident memory of one at once, and before")
    for name in dear_headers.objects():
        done = subprocess.run([sys.executable, "-c", ONE, name], check=True, capture_output=True, text=True)
        cpu, memory, before, code = done.stdout.split()
        print(f"  {name:20s} {float(cpu):6.2f} s   {int(memory):5d} MiB over {int(before)} MiB   {code}")


def main() -> None:
    """Print all."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch)
        if len(sys.argv) == 1:
            write_cohort(folder, patients=10, slices_per_patient=4)
        bytes_read(folder)
    dearest_headers()
    import_times()


if __name__ == "__main__":
    main()
