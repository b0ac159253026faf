"""What is in the image: its manifest, its start command, its size, its bytecode; and the locks it is built by."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile

from assurance.image.bench import Bench, status_of
from assurance.image.build import DOCKERFILE
from tests.locks import LOCK

LARGEST = 1.2e9  # bytes, unpacked
DOCKERS = "application/vnd.docker.distribution.manifest.v2+json"
BINDS = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
# The oldest systems that the wheels name, for the Python of the Dockerfile.
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux1")
PYTHON = "3.12"


def manifest(bench: Bench) -> str:
    """Find docker's kind of manifest, the only one that CreateModel takes."""
    kind = str(bench.engine.inspect(bench.image)["ManifestType"])
    assert kind == DOCKERS, kind
    return kind


def entrypoint(bench: Bench) -> str:
    """Find the entrypoint as a list, and the label for the port."""
    config = bench.engine.inspect(bench.image)["Config"]
    assert config["Entrypoint"] == ["python", "-m", "model_code"], config["Entrypoint"]
    assert config["Labels"][BINDS] == "true", config["Labels"]
    return "a list, and SageMaker may choose the port"


def size(bench: Bench) -> str:
    """Measure the image unpacked, against the bar."""
    found = float(bench.engine.inspect(bench.image)["Size"])
    assert found <= LARGEST, f"{found / 1e9:.2f} GB; at most {LARGEST / 1e9} are wanted"
    return f"{found / 1e9:.2f} GB"


def locks(_: Bench) -> str:
    """Resolve the lock for the Dockerfile's own Python, whatever Python the image has here."""
    platforms = [word for tag in PLATFORMS for word in ("--platform", f"{tag}_x86_64")]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--dry-run", "--no-deps", "--require-hashes", "--only-binary=:all:", f"--target={folder}/none"]
        command = [sys.executable, "-m", "pip", "install", "--quiet", *options, f"--python-version={PYTHON}"]
        done = subprocess.run(
            [*command, "--implementation=cp", *platforms, "--requirement", str(LOCK)],
            check=False,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr.strip()[-300:]
    return f"each package has a wheel for Python {PYTHON} with a hash of the lock"


# In the image: removes the bytecode, runs the Dockerfile's commands once more, and prints what it was and what it is.
_COMPILE_AGAIN = """
import json, pathlib, subprocess, sys, sysconfig
places = [pathlib.Path(sysconfig.get_path("stdlib")), pathlib.Path("/opt/wetread")]
def bodies():
    return {str(file): file.read_bytes() for place in places for file in place.rglob("*.pyc")}
built = bodies()
for file in built:
    pathlib.Path(file).unlink()
for command, folder in zip(sys.argv[1:], [sysconfig.get_path("purelib"), "/opt/wetread"]):
    subprocess.run(["sh", "-c", command], check=True, cwd=folder)
again = bodies()
dated = sorted(name for name, body in built.items() if body[4:8] != bytes([1, 0, 0, 0]))
differing = sorted(name for name in built.keys() | again.keys() if built.get(name) != again.get(name))
print(json.dumps({"files": len(built), "dated": dated, "differing": differing}))
"""


def bytecode(bench: Bench) -> str:
    """Find no date in the bytecode, and the same bytes when it is compiled again."""
    commands = compilations(DOCKERFILE.read_text())
    done = bench.engine.run(bench.image, ["--entrypoint", "python"], ["-B", "-c", _COMPILE_AGAIN, *commands])
    status_of(0, done.status, done.log)
    found = json.loads(done.log.splitlines()[-1])
    dated, differing = found["dated"], found["differing"]
    assert not dated, f"{len(dated)} of {found['files']} files hold a date or are checked at each start: {dated[0]}"
    assert not differing, f"{len(differing)} of {found['files']} files are other bytes each time: {differing[0]}"
    return f"{found['files']} files without a date, and the same bytes when they are compiled again"


def compilations(dockerfile: str) -> list[str]:
    """Return the commands by which a Dockerfile compiles, in their order."""
    return re.findall(r"(?:\w+=\S+ )?python -m compileall .*", dockerfile)
