"""The fuzz loop: choose an input that reached new lines, mutate it, and keep the result if it reaches more."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

from assurance.fuzz.bounds import INPUT_SECONDS
from assurance.fuzz.mutations import mutated
from tests.hostile.matrix import split

START_SECONDS = 120
COMMAND = [sys.executable, "-m", "assurance.fuzz.worker"]
LONGEST_SEED = 64 * 1024


@dataclass
class Report:
    """Findings of a fuzz; ``escapes`` maps files of inputs to what happened."""

    inputs: int = 0
    seconds: float = 0.0
    corpus: int = 0
    lines: set[tuple[str, int]] = field(default_factory=set)
    all_lines: set[tuple[str, int]] = field(default_factory=set)
    slowest: tuple[float, str] = (0.0, "")
    memory: int = 0
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    escapes: list[tuple[Path, str]] = field(default_factory=list)


class Worker:
    """The process that reads inputs; restarted after an input that ended it."""

    def __init__(self) -> None:
        theirs_in, self._inputs = Pipe(duplex=False)
        self._answers, theirs_out = Pipe(duplex=False)
        descriptors = (theirs_in.fileno(), theirs_out.fileno())
        self._process = subprocess.Popen([*COMMAND, *map(str, descriptors)], pass_fds=descriptors)
        theirs_in.close()
        theirs_out.close()
        self.all_lines = self._receive(START_SECONDS)["all"]

    def run(self, body: bytes) -> dict[str, Any]:
        """Return the product's outcome for ``body``; a hang or a dead worker counts as an escape."""
        try:
            self._inputs.send_bytes(body)
            return self._receive(INPUT_SECONDS)
        except TimeoutError:
            return {"escape": f"it took longer than {INPUT_SECONDS:.0f} s", "dead": True}
        except (EOFError, OSError):
            return {"escape": f"the worker ended with status {self._process.wait(10)}", "dead": True}

    def close(self) -> None:
        """End the process; its decoders end with their pipes."""
        self._process.kill()
        self._process.wait()
        self._inputs.close()
        self._answers.close()

    def _receive(self, seconds: float) -> dict[str, Any]:
        if not self._answers.poll(seconds):
            raise TimeoutError
        answer: dict[str, Any] = self._answers.recv()
        return answer


def seeds() -> dict[str, bytes]:
    """Return the matrix without bombs and the longest objects: they take seconds each, and tests/hostile runs them."""
    return {name: body for name, body in split()[0].items() if len(body) <= LONGEST_SEED and "bomb" not in name}


def fuzz(folder: Path, *, seed: int, seconds: float = 1e9, inputs: int = 10**9) -> Report:
    """Run the matrix's objects, then mutations of inputs that reached new lines, for ``seconds`` or ``inputs``.

    Inputs that escape are saved in ``folder``.
    """
    rng, report, started = random.Random(seed), Report(), time.monotonic()
    waiting = list(seeds().items())
    corpus = [body for name, body in waiting if name.endswith("/sound")]
    rng.shuffle(waiting)
    worker = Worker()
    report.all_lines = worker.all_lines
    try:
        while report.inputs < inputs and time.monotonic() - started < seconds:
            if waiting and (report.inputs % 2 or not corpus):
                name, body = waiting.pop()
            else:
                name, body = "", mutated(rng, rng.choice(corpus), rng.choice(corpus))
            answer = worker.run(body)
            if _note(report, name, body, answer, folder):
                corpus.append(body)
            if answer.get("dead"):
                worker.close()
                worker = Worker()
    finally:
        worker.close()
        report.seconds, report.corpus = time.monotonic() - started, len(corpus)
    return report


def _note(report: Report, name: str, body: bytes, answer: dict[str, Any], folder: Path) -> bool:
    """Count the answer; return whether the input reached a new line."""
    report.inputs += 1
    label = name or hashlib.sha256(body).hexdigest()[:16]
    if answer["escape"]:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{label.replace('/', '-')}.dcm"
        path.write_bytes(body)
        report.escapes.append((path, answer["escape"]))
    if answer.get("dead"):
        return False
    report.ended[answer["ended"]] += not answer["escape"]
    report.slowest = max(report.slowest, (answer["seconds"], label))
    report.memory = max(report.memory, answer["memory"])
    new = bool(answer["lines"] - report.lines)
    report.lines |= answer["lines"]
    return new
