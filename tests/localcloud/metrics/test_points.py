from __future__ import annotations

import time

import pytest

from localcloud import metrics
from localcloud.account import in_account
from localcloud.patches.patching import emulator

KEY = ("Test", "Things", "of=one")


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets; the emulator's metrics are empty before and after."""

    class Clock:
        now = time.time()

    monkeypatch.setattr(metrics.time, "time", lambda: Clock.now)
    cloudwatch = emulator("services.cloudwatch")
    cloudwatch._metrics.clear()
    yield Clock
    cloudwatch._metrics.clear()


def stored():
    with in_account():
        return list(emulator("services.cloudwatch")._metrics.get(KEY))


def put(*values):
    with in_account():
        for value in values:
            metrics.record("Test", "Things", value, "Count", {"of": "one"})


def test_values_that_arrive_together_share_a_point_which_has_the_time_of_the_newest(clock):
    put(3, 0)
    clock.now += metrics.MERGED_SECONDS - 1
    put(1)
    (point,) = stored()
    assert point["_stat"] == {"SampleCount": 3, "Sum": 4, "Minimum": 0, "Maximum": 3}
    assert point["Timestamp"] == clock.now
    assert (point["Unit"], point["Dimensions"]) == ("Count", {"of": "one"})


def test_a_steady_stream_opens_a_point_now_and_then(clock):
    for _ in range(50):
        put(1)
        clock.now += 1
    assert [point["_stat"]["Sum"] for point in stored()] == [10] * 5


def test_an_active_metric_never_has_more_points_than_an_hour_of_them(clock):
    for _ in range(3 * 360):
        put(1)
        clock.now += 10
    assert len(stored()) <= metrics.KEPT_SECONDS / metrics.MERGED_SECONDS + 1


def test_the_emulator_reads_the_points(clock):
    put(2, 5)
    cloudwatch = emulator("services.cloudwatch")
    statistics = cloudwatch._calc_stats(stored())
    assert statistics == {"SampleCount": 2, "Sum": 7, "Average": 3.5, "Minimum": 2, "Maximum": 5}
