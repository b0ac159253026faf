"""Seconds to the container's first answer, and its memory after many."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.memory import resident
from benchmarks.serving import subjects
from benchmarks.serving.load import post

# Each part of model_fn is timed where it is called.
PARTS = """
import json, sys, time
begun = time.perf_counter()
import model_code.serving.worker
from model_code import inference
from model_code.artifacts import loading
from model_code.backends import allocator, known_answer
from model_code.reading import decoder_process
seconds = {"imports": time.perf_counter() - begun}

def timed(name, function):
    def call(*arguments):
        begun = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            seconds[name] = time.perf_counter() - begun
    return call

allocator.keep_freed_memory()
loading.load = timed("load and verify", loading.load)
decoder_process.SHARED.start = timed("decoder", decoder_process.SHARED.start)
known_answer.verify = timed("known answer", known_answer.verify)
inference.model_fn(sys.argv[1])
print(json.dumps(seconds))
"""


def start_up(base: Path) -> dict[str, float]:
    """Return seconds from the process's start to the first /ping, and of its parts, in a separate process."""
    started = time.perf_counter()
    with subjects.ours(base):
        whole = time.perf_counter() - started
    command = [sys.executable, "-c", PARTS, str(base / "model")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    parts: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {"to the first /ping": whole} | parts


def memory_after(base: Path, bodies: Sequence[bytes], counts: Sequence[int]) -> list[tuple[int, int]]:
    """Return, for each count, the number of answered requests and the server's bytes after them."""
    answered, found = 0, []
    with subjects.ours(base) as (process, port, in_flight):
        for count in counts:
            post(port, bodies, in_flight, math.inf, count - answered)
            answered = count
            found.append((answered, resident(process)))
    return found
