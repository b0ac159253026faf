"""Ends a command on SIGTERM, also as a container's first process and in the middle of a long call.

Linux ignores a signal without a handler for the first process of a container. Python runs a handler on the main thread
between two instructions of Python: a main thread that waits in C++, such as the host that waits for the others of a
training job, never gets there. So a second thread waits for the signal, too, and ends the process.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import NoReturn

STATUS = 128 + signal.SIGTERM
# How long the main thread may take, for a last line in the log. SageMaker kills 30 or 120 s after SIGTERM, and bills
# until then.
GRACE_SECONDS = 1.0


def end_at_sigterm() -> None:
    """Have SIGTERM end this process with STATUS after GRACE_SECONDS at most; call it on the main thread."""
    signal.signal(signal.SIGTERM, leave)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)  # Python demands it: its own C handler writes there, whatever handler is set
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # A forked child would write its signals into the same pipe.
    os.register_at_fork(after_in_child=finish_in_peace)
    threading.Thread(target=_end_after, args=(reader,), name="stopping", daemon=True).start()


def finish_in_peace() -> None:
    """Leave the end after SIGTERM to the handler alone, without a bound; call it on the main thread."""
    signal.set_wakeup_fd(-1)


def leave(_signal: int = signal.SIGTERM, _frame: FrameType | None = None) -> NoReturn:
    """End the process at once. A C++ library that called Python back would take an exception for its own failure."""
    os._exit(STATUS)


def _end_after(reader: int) -> None:
    while signal.SIGTERM not in os.read(reader, 512):
        pass  # of other signals
    threading.Event().wait(GRACE_SECONDS)
    leave()
