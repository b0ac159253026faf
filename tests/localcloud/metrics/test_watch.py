from __future__ import annotations

import logging

import pytest

from localcloud import metrics
from localcloud.account import in_account
from localcloud.patches.patching import emulator


@pytest.fixture
def evaluated(monkeypatch):
    """The alarms that were evaluated; the first evaluation fails."""
    cloudwatch = emulator("services.cloudwatch")
    seen = []

    def evaluate(alarm):
        seen.append(alarm["AlarmName"])
        if len(seen) == 1:
            raise ValueError("the first time")

    monkeypatch.setattr(metrics, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(cloudwatch, "_evaluate_alarm", evaluate)
    with in_account():
        cloudwatch._alarms["only"] = {"AlarmName": "only"}
    yield seen
    cloudwatch._alarms.clear()


def test_an_evaluation_that_fails_is_logged_and_the_next_comes(evaluated, until, caplog):
    watch = metrics.Watch()
    with caplog.at_level(logging.ERROR):
        watch.start()
        until(lambda: len(evaluated) > 2)
        watch.stop()
    assert "the first time" in caplog.text
    number = len(evaluated)
    assert not watch._thread.is_alive()
    assert len(evaluated) == number
