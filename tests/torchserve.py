"""Run a model under AWS's PyTorch inference toolkit on TorchServe, in an environment that is built once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.serving import free_port

ROOT = Path(__file__).parents[1]
PINS = ROOT / "tests/contract/torchserve-requirements.txt"
JAVA_NEEDED = 17
INSTALL_SECONDS, START_SECONDS = 600, 180
LOG_CHARACTERS = 6000

# The toolkit writes its configuration below /etc and looks for its server among all of the machine's processes, where
# another one may run: here it writes to the folder of this run and looks in its own process group.
LAUNCH = """
import os, sys
import psutil
from sagemaker_pytorch_serving_container import serving, torchserve

def in_group(process):
    try:
        return os.getpgid(process.pid) == os.getpgrp()
    except ProcessLookupError:
        return False

everywhere = psutil.process_iter
psutil.process_iter = lambda: filter(in_group, everywhere())
torchserve.TS_CONFIG_FILE = sys.argv[1]
serving.main()
"""


class Unavailable(Exception):
    """TorchServe cannot run on this machine; the message says what is missing."""


@dataclass(frozen=True)
class Server:
    """A running server: the process that started it, and where its log is."""

    client: httpx.Client
    process: subprocess.Popen[bytes]
    log_file: Path

    def post(self, body: bytes, content_type: str) -> httpx.Response:
        """Return its answer; a connection error carries the log."""
        try:
            return self.client.post("/invocations", content=body, headers={"Content-Type": content_type})
        except httpx.TransportError as error:
            error.add_note(self.log())
            raise

    def log(self) -> str:
        """Return the end of its log."""
        return self.log_file.read_text(errors="replace")[-LOG_CHARACTERS:]


def environment() -> Path:
    """Return the Python of TorchServe's environment, which is built unless it is there; raises Unavailable.

    It lies in build/, named after all that it was made of, and shares this interpreter's packages (torch, MONAI and
    pydicom, that is): its pinned packages come first on its path.
    """
    _check_java()
    packages = site.getsitepackages()
    made_of = "\n".join([sys.version, *packages, PINS.read_text()])
    folder = ROOT / "build" / f"torchserve-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    # The second of two parallel test runs waits, and finds it built.
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".ready").exists():
            _build(folder, packages)
            (folder / ".ready").touch()
    return folder / "bin/python"


def _check_java() -> None:
    if shutil.which("java") is None:
        raise Unavailable("TorchServe needs Java, which is missing.")
    done = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', done.stderr)
    if done.returncode or not found or int(found.group(1)) < JAVA_NEEDED:
        raise Unavailable(f"TorchServe needs Java {JAVA_NEEDED}; `java -version` says: {done.stderr.strip()}")


def _build(folder: Path, packages: list[str]) -> None:
    venv.create(folder, clear=True, with_pip=False, symlinks=True)
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "shared.pth").write_text("\n".join(packages) + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            [*pip, "install", "-qq", "--no-input", "--retries", "1", "-r", str(PINS)],
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"TorchServe's environment was not installed in {INSTALL_SECONDS} s.") from None
    if done.returncode:
        raise Unavailable(f"TorchServe's environment cannot be installed: {done.stderr.strip().splitlines()[-1]}")


@contextmanager
def torchserve(python: Path, base: Path, workers: int = 1, **environ: str) -> Iterator[Server]:
    """Serve ``base``/model with the Python of ``environment()`` on a free port of the loopback interface.

    Every worker has loaded the model when the context begins; whatever happens, the whole process group, Java and its
    workers, ends with it.
    """
    # Not in a test's folder: paths of Unix sockets are short.
    with tempfile.TemporaryDirectory(prefix="ts-", ignore_cleanup_errors=True) as scratch:
        log_file = Path(scratch, "log")
        port, management = free_port(), free_port()
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [python, "-c", LAUNCH, f"{scratch}/ts.properties"],
                cwd=scratch,
                env=_variables(python, Path(scratch), base, workers, port, management) | environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
                server = Server(client, process, log_file)
                _wait(server, f"http://127.0.0.1:{management}/models/model")
                yield server
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _variables(python: Path, scratch: Path, base: Path, workers: int, port: int, management: int) -> dict[str, str]:
    java = {name: os.environ[name] for name in ("JAVA_HOME",) if name in os.environ}
    return java | {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(scratch),
        "TEMP": str(scratch),  # TorchServe passes it to Java
        "JAVA_TOOL_OPTIONS": "-XX:-UsePerfData",  # a file that Java leaves in /tmp when it is killed
        # A worker computes on one thread, as on our server: two that share a busy core wait for each other.
        "OMP_NUM_THREADS": "1",
        "SAGEMAKER_BASE_DIR": str(base),
        "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers),
        # Otherwise it listens on every address of the machine.
        "TS_INFERENCE_ADDRESS": f"http://127.0.0.1:{port}",
        "TS_MANAGEMENT_ADDRESS": f"http://127.0.0.1:{management}",
        "TS_METRICS_ADDRESS": f"http://127.0.0.1:{free_port()}",
        "TS_GRPC_INFERENCE_PORT": str(free_port()),
        "TS_GRPC_MANAGEMENT_PORT": str(free_port()),
        # The toolkit runs pip on the artifact's requirements.txt at every start; ours asks for nothing.
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INDEX": "1",
    }


def _wait(server: Server, status: str) -> None:
    """Wait until the workers have loaded the model: /ping answers 200 long before that."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            answer = server.client.get(status)
            if answer.is_success and all(one["status"] == "READY" for one in answer.json()[0]["workers"]):
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"TorchServe did not come up (exit status {server.process.poll()}):\n{server.log()}")
