"""The tick queue: wakes dispatch once per window, after everything that the window wrote."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class Ticks:
    """A FIFO queue with one message group (dispatch runs one at a time) and one message per window.

    The queue delays every message by more than a window. So everything that is written before a tick is sent, also in
    the same window, exists when the tick arrives. Write first, then tick: thus no wake-up is lost.
    """

    def __init__(self, client: SQSClient, queue_url: str, window_seconds: int) -> None:
        self._client = client
        self._queue_url = queue_url
        self._window_seconds = window_seconds

    def send(self, now: datetime) -> None:
        """Wake dispatch soon."""
        window = int(now.timestamp()) // self._window_seconds
        self._client.send_message(
            QueueUrl=self._queue_url,
            MessageBody=str(window),
            MessageGroupId="dispatch",
            MessageDeduplicationId=str(window),
        )
