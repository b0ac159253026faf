"""Lets pytest capture the functions' log lines."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Return pytest's fixture, which hears the functions' own logger, each line once.

    Where telemetry was imported, it keeps their lines from the root logger.
    """
    functions = logging.getLogger("functions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functions, "propagate", False)
        functions.addHandler(caplog.handler)
        yield caplog
        functions.removeHandler(caplog.handler)
