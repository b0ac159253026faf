"""Keeps pydicom and highdicom quiet: their warnings and log lines repeat values, which may be a patient's."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

LIBRARIES = ("pydicom", "highdicom")
SILENT = logging.CRITICAL + 1


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Let neither library warn or log. Levels and filters are the process's: one thread at a time."""
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(SILENT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)
