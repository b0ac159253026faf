"""Run the container's ``serve`` in a separate process, for tests and benchmarks over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ATTEMPTS = 1200


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def serving(base: Path, **environ: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """Run ``serve`` on a free port from another working directory, wait for /ping, and end it."""
    port = free_port()
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "SAGEMAKER_BASE_DIR": str(base),
        "SAGEMAKER_BIND_TO_HOST": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "model_code", "serve"],
        cwd=base,
        env=variables | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            for _ in range(ATTEMPTS):
                if process.poll() is not None:
                    break
                try:
                    client.get("/ping")
                    break
                except httpx.ConnectError:
                    time.sleep(0.1)
            yield process, client
    finally:
        process.kill()
        process.communicate()
