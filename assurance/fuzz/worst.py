"""Cost of the worst known objects in each reader: CPU seconds and memory, one process an object.

python -m assurance.fuzz.worst [NAME...]     (exit status 1 if one exceeds its bound)
"""

from __future__ import annotations

import ctypes
import logging
import os
import pickle
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from assurance.fuzz.worst_objects import MIB, OBJECTS
from model_code.reading.decoder_process import SHARED
from tests.hostile import outcome

CPU_SECONDS = 2.0
"""Of one object in one reader, the decoder's process not counted. Ingest: at most two walks of 100,000 steps, and 1 MiB
inflated to 8 MiB twice. The container: one walk, 64 MiB inflated, and 50,000 fragments or 10,000 markers."""
MEMORY_BYTES = {"ingest": 64 * MIB, "container": 384 * MIB}
"""Bytes above the process with the object; a valid slice of 4096 x 4096 in the container takes most."""

READERS: dict[str, Callable[[bytes], str]] = {"ingest": outcome.ingest, "container": outcome.container}


@dataclass(frozen=True)
class Cost:
    """The outcome and cost of one read: CPU seconds, and bytes above those before it."""

    ended: str
    seconds: float
    memory: int


def cost(reader: Callable[[bytes], str], body: bytes) -> Cost:
    """Read ``body`` in a forked process, which has no freed memory to reuse."""
    with suppress(AttributeError):  # glibc has it
        ctypes.CDLL(None).malloc_trim(0)
    read, written = os.pipe()
    child = os.fork()
    if not child:
        os.write(written, pickle.dumps(_measured(reader, body)))
        os._exit(0)
    os.close(written)
    with os.fdopen(read, "rb") as answer:
        said = answer.read()
    _, status = os.waitpid(child, 0)
    return pickle.loads(said) if said else Cost(f"DEAD {status}", 0, 0)


def _measured(reader: Callable[[bytes], str], body: bytes) -> Cost:
    before, started = _peak(), time.process_time()
    try:
        ended = reader(body)
    except Exception as error:  # any exception is a finding
        ended = f"ESCAPED {type(error).__name__}"
    seconds = time.process_time() - started
    SHARED.close()
    return Cost(ended, seconds, _peak() - before)


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> int:
    """Print a line an object, and the worst of all."""
    logging.disable()
    outcome.outcome(b"")
    names = sys.argv[1:] or list(OBJECTS)
    bad, worst = 0, dict.fromkeys(READERS, Cost("", 0, 0))
    print(f"{'object':36}{'KiB':>8}  " + "".join(f"{f'{name}: CPU s, MiB':>24} {'':24}" for name in READERS))
    for name in names:
        body = OBJECTS[name]()
        found = {one: cost(reader, body) for one, reader in READERS.items()}
        for one, this in found.items():
            over = this.seconds > CPU_SECONDS or this.memory > MEMORY_BYTES[one]
            bad += over or this.ended.startswith(("DEAD", "ESCAPED"))
            high = worst[one]
            worst[one] = Cost("", max(high.seconds, this.seconds), max(high.memory, this.memory))
        cells = "".join(f"{one.seconds:17.2f} {one.memory / MIB:6.0f} {one.ended:24}" for one in found.values())
        print(f"{name:36}{len(body) / 1024:8.0f}  {cells}", flush=True)
    for one, this in worst.items():
        print(
            f"worst of {len(names)}, {one}: {this.seconds:.2f} s CPU (bound {CPU_SECONDS:.0f} s), "
            f"{this.memory / MIB:.0f} MiB (bound {MEMORY_BYTES[one] // MIB} MiB)"
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
