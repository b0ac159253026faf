"""State-change events on EventBridge, in AWS's format."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from localcloud.account import ACCOUNT_ID, REGION, in_account
from localcloud.patches.patching import emulator
from localcloud.sagemaker.store import Record


class Events:
    """Sends events to the default bus of the account."""

    def send(self, detail_type: str, arn: str, detail: Record) -> None:
        """Send one event; in its detail, times are epoch milliseconds and tags an object, as in AWS's events."""
        event: Record = {
            "EventId": str(uuid.uuid4()),
            "Source": "aws.sagemaker",
            "DetailType": detail_type,
            "Detail": json.dumps(_in_event(detail)),
            "EventBusName": "default",
            "Time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Resources": [arn],
            "Account": ACCOUNT_ID,
            "Region": REGION,
        }
        self.deliver(event)

    def deliver(self, event: Record) -> None:
        """Hand an event to EventBridge."""
        dispatch = emulator("services.eventbridge", "_dispatch_event")._dispatch_event
        with in_account():
            dispatch(dict(event))


def _in_event(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _in_event(member, key) for key, member in value.items()}
    if isinstance(value, list):
        return [_in_event(member) for member in value]
    return int(value * 1000) if name.endswith("Time") and isinstance(value, int | float) else value
