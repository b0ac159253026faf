"""Builds the image without a docker daemon, and runs its commands as SageMaker would: `make image-check`.

Needs root on Debian with the packages of ``engine.TOOLS`` (and ``strip``). ``--pull`` takes the Dockerfile's own base
image from its registry; without it a base is made from Debian's packages and a copy of this Python (``base``).
The exit status is 1 when a check fails.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from assurance.image.build import build
from assurance.image.engine import Container, Engine, missing_tools
from tests.snapshots import phantom_slices, write_snapshot

LARGEST, FIRST_PING, STOPPED = 1.2e9, 2.5, 2.0  # bytes, seconds, seconds
DOCKERS = "application/vnd.docker.distribution.manifest.v2+json"
BINDS = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"


@dataclass(frozen=True)
class Bench:
    """What the checks work with: an image, and a job's folder, whose model ``train`` writes for those that serve."""

    engine: Engine
    image: str
    job: Path

    @contextmanager
    def started(self, command: str, *options: str) -> Iterator[Container]:
        """Start a command on the job's folder; remove it at the end."""
        container = self.engine.start(
            "wetread-check", self.image, [f"--volume={self.job}:/opt/ml", *options], [command]
        )
        try:
            yield container
        finally:
            container.remove()


def manifest(bench: Bench) -> str:
    """Find docker's kind of manifest, the only one that CreateModel takes."""
    kind = str(bench.engine.inspect(bench.image)["ManifestType"])
    assert kind == DOCKERS, kind
    return kind


def starts_by_its_name(bench: Bench) -> str:
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


def train(bench: Bench) -> str:
    """Train for an epoch, without a network."""
    done = bench.engine.run(bench.image, [f"--volume={bench.job}:/opt/ml"], ["train"])
    assert done.status == 0, f"status {done.status}: {done.log[-300:]}"
    assert (bench.job / "model/model.pth").is_file()
    return "a model"


def serve(bench: Bench) -> str:
    """Serve as nobody without a writable file, and measure the time to the first answer of /ping."""
    since = time.monotonic()
    options = ["--read-only", "--read-only-tmpfs=false", "--user=65534:65534", "--cap-drop=ALL", "--unsetenv=HOME"]
    with bench.started("serve", *options) as container:
        command = [sys.executable, "-m", "assurance.image", "--ping"]
        answered = subprocess.run(["nsenter", "--target", str(container.pid), "--net", *command], check=False)
        took = time.monotonic() - since
        assert answered.returncode == 0, container.log()[-300:]
    assert took <= FIRST_PING, f"first /ping after {took:.1f} s; at most {FIRST_PING} are wanted on a quiet machine"
    return f"first /ping after {took:.1f} s"


def stops(command: str) -> Callable[[Bench], str]:
    """Return a check that SIGTERM ends ``command``, half a second after its start, as the first process."""

    def check(bench: Bench) -> str:
        with bench.started(command) as container:
            time.sleep(0.5)
            since = time.monotonic()
            container.signal("TERM")
            status = container.wait(10)
            took = time.monotonic() - since
        assert status is not None, "still running after 10 s"
        assert took <= STOPPED, f"after {took:.1f} s"
        return f"status {status} after {took:.1f} s"

    return check


CHECKS: dict[str, Callable[[Bench], str]] = {
    "manifest": manifest,
    "entrypoint": starts_by_its_name,
    "size": size,
    "train": train,
    "serve": serve,
    "stop-serve": stops("serve"),
    "stop-train": stops("train"),
}


def verdict(check: Callable[[Bench], str], bench: Bench) -> tuple[bool, str]:
    """Run one check; return whether it passed, and what was seen."""
    try:
        return True, check(bench)
    except (AssertionError, RuntimeError, KeyError, OSError) as error:
        return False, str(error) or type(error).__name__


def _ping() -> None:
    """Wait in the container's network for an answer of 200."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        link = http.client.HTTPConnection("127.0.0.1", 8080, timeout=5)
        try:
            link.request("GET", "/ping")
            if link.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.02)
    raise SystemExit("no answer of /ping in 60 s")


def main() -> None:
    """Build, check, and print a line for each check."""
    parser = argparse.ArgumentParser(prog="python -m assurance.image", description=__doc__)
    parser.add_argument("--pull", action="store_true", help="take the Dockerfile's base image from its registry")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/wetread-image"), help="the folder of images")
    parser.add_argument("--ping", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ping:
        _ping()
        return
    if missing := missing_tools():
        raise SystemExit(f"Not installed: {', '.join(missing)}. On Debian: apt-get install {' '.join(missing)}")
    options.work.mkdir(parents=True, exist_ok=True)
    engine = Engine(options.work)
    image = build(engine, pull=options.pull)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder)
        job.chmod(0o755)
        write_snapshot(job / "input/data", phantom_slices())
        (job / "input/config").mkdir()
        (job / "input/config/hyperparameters.json").write_text(json.dumps({"epochs": "1", "image_size": "64"}))
        for name, check in CHECKS.items():
            passed, seen = verdict(check, Bench(engine, image, job))
            failed += not passed
            sys.stdout.write(f"{'ok  ' if passed else 'FAIL'}  {name}: {seen}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(CHECKS) - failed} passed, {failed} failed\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
