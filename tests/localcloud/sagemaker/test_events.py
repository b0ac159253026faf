from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from localcloud.sagemaker import events


@pytest.fixture
def sent(monkeypatch):
    """The events that reach EventBridge."""
    dispatched = []
    monkeypatch.setattr(events, "emulator", lambda *_names: SimpleNamespace(_dispatch_event=dispatched.append))
    return dispatched


def test_times_are_milliseconds_wherever_they_are_and_nothing_else_changes(sent):
    detail = {"CreationTime": 1.5, "Nested": [{"EndTime": 2.25, "Count": 3}], "Tags": {"a": "b"}}
    events.Events().send("Some Change", "arn", detail)
    assert json.loads(sent[0]["Detail"]) == {
        "CreationTime": 1500,
        "Nested": [{"EndTime": 2250, "Count": 3}],
        "Tags": {"a": "b"},
    }
    assert (sent[0]["Source"], sent[0]["DetailType"], sent[0]["Resources"]) == ("aws.sagemaker", "Some Change", ["arn"])
