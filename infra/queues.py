"""A queue whose messages are never lost: what cannot be handled ends in its dead letter queue."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

MAX_RECEIVE_COUNT = 5
VISIBILITY_FACTOR = 6  # AWS's advice for a Lambda consumer: room for retries of a throttled function


class ReliableQueue(Construct):
    """An encrypted, TLS-only queue and its dead letter queue, for one consuming function.

    ``consumer_timeout`` is that function's timeout; ``fifo_delay`` makes a FIFO queue that delivers that much later.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        key: kms.IKey,
        consumer_timeout: Duration,
        fifo_delay: Duration | None = None,
    ) -> None:
        super().__init__(scope, id_)
        # SQS takes FifoQueue=true or nothing at all: false is refused.
        fifo = True if fifo_delay else None
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            fifo=fifo,
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            fifo=fifo,
            delivery_delay=fifo_delay,
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(4),
            visibility_timeout=Duration.seconds(VISIBILITY_FACTOR * int(consumer_timeout.to_seconds())),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=MAX_RECEIVE_COUNT),
        )

    def feed(
        self,
        function: lambda_.Function,
        *,
        batch_size: int,
        window: Duration | None = None,
        max_concurrency: int | None = None,
    ) -> None:
        """Let ``function`` consume the queue; a message that it reports as failed is retried alone."""
        function.add_event_source(
            sources.SqsEventSource(
                self.queue,
                batch_size=batch_size,
                max_batching_window=window,
                max_concurrency=max_concurrency,
                report_batch_item_failures=True,
            )
        )
