"""Lose a share of SageMaker's state-change events, and send a share twice, as EventBridge is allowed to.

The environment variables WETREAD_SAGEMAKER_LOST_EVENTS and WETREAD_SAGEMAKER_DOUBLED_EVENTS set the shares, 0 to 1.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

from localcloud.sagemaker.events import Events

LOST = "WETREAD_SAGEMAKER_LOST_EVENTS"
DOUBLED = "WETREAD_SAGEMAKER_DOUBLED_EVENTS"
Deliver = Callable[[Events, dict[str, Any]], None]


def install() -> None:
    """Make the delivery of events unreliable, in a launcher that loads this module as an extension."""
    lost, doubled = (float(os.environ.get(variable, "0")) for variable in (LOST, DOUBLED))
    Events.deliver = unreliable(Events.deliver, lost, doubled)  # type: ignore[method-assign]


def unreliable(deliver: Deliver, lost: float, doubled: float) -> Deliver:
    """Return a delivery that drops the share `lost` of all events and repeats the share `doubled` of the others."""
    chance = random.Random(0)

    def deliver_sometimes(events: Events, event: dict[str, Any]) -> None:
        if chance.random() < lost:
            return
        for _time in range(2 if chance.random() < doubled else 1):
            deliver(events, event)

    return deliver_sometimes
