"""The account's default event bus."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from functions.domain.study_event import StudyEvent

logger = logging.getLogger(__name__)

MOST_ENTRIES = 10  # of one PutEvents


class Bus:
    """Publishes events of one source."""

    def __init__(self, client: Any, source: str) -> None:
        """``client`` is boto3's for EventBridge; ``source`` is what the events say that they come from."""
        self._client = client
        self._source = source

    def publish(self, events: Sequence[StudyEvent]) -> list[bool]:
        """Publish up to ``MOST_ENTRIES`` events; return for each whether the bus took it."""
        entries: Any = [{"Source": self._source, "DetailType": one.detail_type, "Detail": one.detail} for one in events]
        answers = self._client.put_events(Entries=entries)["Entries"]
        for refused in (one for one in answers if one.get("ErrorCode")):
            logger.error("event not published", extra={"code": refused["ErrorCode"]})
        return [not one.get("ErrorCode") for one in answers]
