from __future__ import annotations

import pytest

from localcloud.patches import step_functions


@pytest.mark.parametrize(
    ("retrier", "delays"),
    [
        ({}, [1, 2, 4, 8]),
        ({"IntervalSeconds": 60, "BackoffRate": 3}, [60, 180, 540, 1620]),
        ({"IntervalSeconds": 15, "MaxDelaySeconds": 40}, [15, 30, 40, 40]),
        ({"IntervalSeconds": 5, "BackoffRate": 1.0}, [5, 5, 5, 5]),
        ({"IntervalSeconds": 4, "MaxDelaySeconds": 10, "JitterStrategy": "FULL"}, [2, 4, 5, 5]),
        ({"IntervalSeconds": 4, "JitterStrategy": "NONE"}, [4, 8, 16, 32]),
    ],
)
def test_the_pause_before_each_try(retrier, delays):
    assert [step_functions.delay(retrier, retries, chance=lambda: 0.5) for retries in range(4)] == delays


@pytest.fixture
def states(module, monkeypatch):
    """The emulator's interpreter with the patch, and the pauses that it made."""
    states = module("services.stepfunctions")
    pauses = []
    monkeypatch.setattr(states, "_scaled_sleep", pauses.append)
    step_functions.install_retries()
    return states, pauses


def test_the_whole_pause_is_made_once(states):
    interpreter, pauses = states
    retriers = [{"ErrorEquals": ["A"]}, {"ErrorEquals": ["B"], "IntervalSeconds": 600, "MaxAttempts": 2}]
    retrier, index = interpreter._find_matching_retrier(retriers, "B", {1: 1})
    assert (index, pauses) == (1, [1200.0])
    assert retrier["IntervalSeconds"] == 0, "the interpreter itself waits no longer"
    assert interpreter._find_matching_retrier(retriers, "B", {1: 2}) == (None, -1)
    assert interpreter._find_matching_retrier(retriers, "C", {}) == (None, -1)
    assert len(pauses) == 1


@pytest.mark.parametrize(
    ("names", "error", "matches"),
    [
        (["States.ALL"], "SageMaker.X", True),
        (["States.ALL"], "States.Timeout", True),
        (["States.ALL"], "States.Runtime", False),
        (["States.ALL"], "States.DataLimitExceeded", False),
        (["States.TaskFailed"], "States.DataLimitExceeded", False),
        (["States.Runtime"], "States.Runtime", True),
        (["States.TaskFailed"], "States.Timeout", False),
    ],
)
def test_the_wildcards_leave_out_what_nothing_can_help(states, names, error, matches):
    assert states[0]._error_matches(names, error) is matches
