"""How far the uploads queue is behind: what waits in it is not late."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.trouble import loggable

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 300  # SQS measures once a minute, and a measurement may come some minutes late
PERIOD_SECONDS = 60


class Backlog:
    """The age of the oldest message of one queue."""

    def __init__(self, client: CloudWatchClient, queue_name: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._queue_name = queue_name
        self._clock = clock

    def is_behind(self, seconds: float) -> bool:
        """Return whether a message waited longer than ``seconds`` at the last measurement; True if that cannot be read.

        SQS measures nothing of a queue that nothing has used for hours.
        """
        now = self._clock()
        try:
            answer = self._client.get_metric_statistics(
                Namespace="AWS/SQS",
                MetricName="ApproximateAgeOfOldestMessage",
                Dimensions=[{"Name": "QueueName", "Value": self._queue_name}],
                StartTime=now - timedelta(seconds=WINDOW_SECONDS),
                EndTime=now,
                Period=PERIOD_SECONDS,
                Statistics=["Maximum"],
            )
        except (ClientError, BotoCoreError) as error:
            logger.error("the age of the uploads queue cannot be read", extra=loggable(error))
            return True
        last = max(answer["Datapoints"], key=lambda point: point["Timestamp"], default=None)
        return last is not None and last["Maximum"] > seconds
