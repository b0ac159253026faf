"""Worker process: gives inputs to the product within bounded memory, and reports the results.

``python -m assurance.fuzz.worker FD FD`` reads inputs from one pipe and answers on the other.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import time
from inspect import CO_OPTIMIZED
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import functions.domain.header
import functions.domain.instance
import model_code.reading.codestream
import model_code.reading.dicom
import model_code.reading.elements
import model_code.reading.frame
import model_code.reading.jpeg2000
import model_code.reading.pixel_data
import model_code.reading.stored_bits
import untrusted.encoding
import untrusted.formats
import untrusted.header
import untrusted.picture
import untrusted.walker
from assurance.fuzz.bounds import MEMORY_BYTES
from model_code.reading.decoder_process import SHARED
from tests.hostile.outcome import outcome

COVERED = (
    functions.domain.header,
    functions.domain.instance,
    model_code.reading.codestream,
    model_code.reading.dicom,
    model_code.reading.elements,
    model_code.reading.frame,
    model_code.reading.jpeg2000,
    model_code.reading.pixel_data,
    model_code.reading.stored_bits,
    untrusted.encoding,
    untrusted.formats,
    untrusted.header,
    untrusted.picture,
    untrusted.walker,
)
FILES = {str(module.__file__): Path(str(module.__file__)).relative_to(Path.cwd()).as_posix() for module in COVERED}

Line = tuple[str, int]
CodeId = tuple[str, int, str]


class Tracer:
    """Counts each line of FILES once; stops tracing a function when all its lines have run."""

    def __init__(self, unseen: dict[CodeId, set[int]]) -> None:
        self._unseen = unseen
        self._new: set[Line] = set()

    def taken(self) -> set[Line]:
        """Return the lines that ran for the first time since the last call."""
        new, self._new = self._new, set()
        return new

    def __call__(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        """Trace a called function if some of its lines have not run."""
        name = FILES.get(frame.f_code.co_filename)
        unseen = self._unseen.get((name, frame.f_code.co_firstlineno, frame.f_code.co_name)) if name else None
        if not unseen:
            return None

        def line(frame: FrameType, event: str, _argument: Any) -> Any:
            if event == "line" and frame.f_lineno in unseen:
                unseen.discard(frame.f_lineno)
                self._new.add((str(name), frame.f_lineno))
            return line

        return line


def all_lines() -> dict[CodeId, set[int]]:
    """Return every line of every function in FILES."""
    found: dict[CodeId, set[int]] = {}
    for path, name in FILES.items():
        stack = [one for one in compile(Path(path).read_text(), path, "exec").co_consts if isinstance(one, CodeType)]
        while stack:
            code = stack.pop()
            stack.extend(one for one in code.co_consts if isinstance(one, CodeType))
            if code.co_flags & CO_OPTIMIZED:  # a function's body, not a class's
                lines = {line for _, _, line in code.co_lines() if line and line > code.co_firstlineno}
                found[name, code.co_firstlineno, code.co_name] = lines
    return found


def main(inputs: Connection, answers: Connection) -> None:
    """Answer until the pipe closes: outcome, seconds, new lines, and peak resident memory."""
    logging.disable()
    SHARED.start()
    outcome(b"")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    at_first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unseen = all_lines()
    answers.send({"all": {(name, line) for (name, _, _), lines in unseen.items() for line in lines}})
    tracer = Tracer(unseen)
    while True:
        try:
            body = inputs.recv_bytes()
        except EOFError:
            return
        started, escape, ended = time.perf_counter(), "", ("", "")
        sys.settrace(tracer)
        try:
            found = outcome(body)
            ended = (found.ingest, found.container)
        except BaseException as error:  # any exception is a finding
            escape = f"{type(error).__name__}: {error}"[:500]
        finally:
            sys.settrace(None)
        answers.send(
            {
                "escape": escape,
                "ended": ended,
                "seconds": time.perf_counter() - started,
                "lines": tracer.taken(),
                "memory": 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - at_first),
            }
        )


if __name__ == "__main__":
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    main(Connection(int(sys.argv[1])), Connection(int(sys.argv[2])))
