"""Size of the functions' layer, and what its SDK costs a cold start against the one of Lambda's runtime.

python -m benchmarks.layer

Lambda compiles what a layer has at each cold start, since /opt cannot be written; its own SDK is compiled already.
So a folder with the SDK and its compiled files takes the place of the runtime, and both ways are measured in turn.
"""

from __future__ import annotations

import compileall
import io
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from infra import layer

ROOT = Path(__file__).parents[1]
RUNS = 9
PROGRAM = """
import time
started = time.perf_counter()
import functions.ingest
from functions import wiring
wiring.client("s3")
print(time.perf_counter() - started)
"""


def sizes(folder: Path) -> None:
    """Print the bytes of the layer, unpacked and as a zip file, with and without the SDK."""
    for name, only in (("whole", lambda _file: True), ("without the SDK", lambda file: not _is_sdk(file))):
        files = [file for file in sorted(folder.rglob("*")) if file.is_file() and only(file.relative_to(folder))]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.relative_to(folder))
        unpacked = sum(file.stat().st_size for file in files)
        print(f"{name:16s} {unpacked / 1e6:5.1f} MB in {len(files)} files, {packed.tell() / 1e6:4.1f} MB as a zip file")


def _is_sdk(file: Path) -> bool:
    """Return whether a file of the layer belongs to the SDK's packages; ``dateutil`` is python-dateutil's."""
    top = file.parts[1].split("-")[0].removesuffix(".py").replace("_", "-").replace("python-", "")
    return top in {name.replace("python-", "") for name in layer.SDK}


def cold_starts(whole: Path, scratch: Path) -> None:
    """Print the median times until ingest is imported and has a client, by where the SDK comes from."""
    runtime, bare = scratch / "runtime", scratch / "bare"
    for file in filter(Path.is_file, whole.rglob("*")):
        relative = file.relative_to(whole)
        target = (runtime if _is_sdk(relative) else bare) / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    compileall.compile_dir(runtime, quiet=2)
    ways = {"runtime's SDK": [bare, runtime], "layer's SDK": [whole]}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(RUNS):
        for name, places in ways.items():
            search = ":".join([str(ROOT), *(str(place / "python") for place in places)])
            environment = {"PYTHONPATH": search, "AWS_DEFAULT_REGION": "us-east-1"}
            # -S: no site-packages of this environment; -B: nothing is compiled for the next start.
            command = [sys.executable, "-S", "-B", "-c", PROGRAM]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            times[name].append(float(done.stdout))
    base = statistics.median(times["runtime's SDK"])
    for name, values in times.items():
        print(f"{name:16s} {statistics.median(values):5.2f} s, {statistics.median(values) / base:4.2f} x the runtime's")


def main() -> None:
    """Print both."""
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        layer.build(whole)
        sizes(whole)
        cold_starts(whole, Path(scratch))


if __name__ == "__main__":
    main()
