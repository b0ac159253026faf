"""Lets pytest capture the functions' log lines."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Return pytest's fixture, listening to the functions' own logger: telemetry keeps its lines from the root one."""
    functions = logging.getLogger("functions")
    functions.addHandler(caplog.handler)
    yield caplog
    functions.removeHandler(caplog.handler)
