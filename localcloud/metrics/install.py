"""Puts the metrics of AWS's services into the emulator."""

from __future__ import annotations

from localcloud.metrics import executions, functions
from localcloud.metrics.watch import Watch


def install() -> Watch:
    """Install everything; the watch that is returned is to be started and stopped with the server."""
    functions.install()
    executions.install()
    return Watch()
