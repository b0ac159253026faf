"""One thread that measures the queues and evaluates every alarm now and then, until the cloud goes down."""

from __future__ import annotations

import logging
import threading

from localcloud.account import in_account
from localcloud.metrics.queues import QueueMetrics
from localcloud.patches.seam import emulator

_log = logging.getLogger(__name__)
PAUSE_SECONDS = 2.0
"""CloudWatch takes a minute; who waits for an alarm here sits before it."""


class Watch:
    """Measures and evaluates between ``start`` and ``stop``."""

    def __init__(self) -> None:
        self._cloudwatch = emulator("services.cloudwatch", "_alarms", "_evaluate_alarm")
        self._queues = QueueMetrics()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End after the look in progress."""
        self._ended.set()
        self._thread.join()

    def look(self) -> None:
        """Measure every queue, then evaluate every alarm."""
        with in_account():
            self._queues.measure()
            for alarm in self._cloudwatch._alarms.values():
                self._cloudwatch._evaluate_alarm(alarm)

    def _run(self) -> None:
        while not self._ended.wait(PAUSE_SECONDS):
            try:
                self.look()
            except Exception:
                _log.exception("The alarms were not evaluated this time.")
