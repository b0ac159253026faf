"""Persistence: the emulator's state is saved while it runs, not only at an orderly end, so that `kill -9` loses little.

A snapshot costs more with every row, so the pause grows with it: snapshots take at most a twentieth of the time.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from localcloud.patches.patching import emulator

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 3.0
_SHARE = 20
_ATTEMPTS = 5


class Snapshots:
    """Saves the state of all services some seconds after `touch`."""

    def __init__(self) -> None:
        self._app = emulator("app", "_build_persistence_save_dict", "PERSIST_STATE")
        self._persistence = emulator("core.persistence", "save_state")
        self._touched = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def touch(self) -> None:
        """Note that the state may have changed."""
        self._touched.set()

    def stop(self) -> None:
        """End after the snapshot in progress; the emulator saves the rest at its orderly end."""
        self._ended.set()
        self._touched.set()
        self._thread.join()

    def _run(self) -> None:
        pause = _PAUSE_SECONDS
        while True:
            self._touched.wait()
            if self._ended.wait(pause):
                return
            self._touched.clear()
            started = time.monotonic()
            self._save()
            pause = max(_PAUSE_SECONDS, _SHARE * (time.monotonic() - started))

    def _save(self) -> None:
        for service, get_state in self._app._build_persistence_save_dict().items():
            state = _copied(service, get_state)
            if state is not None:
                self._persistence.save_state(service, state)


def _copied(service: str, get_state: Any) -> Any:
    for _attempt in range(_ATTEMPTS):
        try:
            return get_state()
        except RuntimeError:
            # A dictionary changed size while it was copied.
            continue
    _log.warning("The state of %s changes too fast for a snapshot; the next one will have it.", service)
    return None
