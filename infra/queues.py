"""A queue that loses no message: one that cannot be handled ends in its dead letter queue."""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.grants import WRITE, allow, allow_key

MAX_RECEIVE_COUNT = 5
VISIBILITY_FACTOR = 6  # AWS's advice for a Lambda consumer: room for retries of a throttled function


class ReliableQueue(Construct):
    """An encrypted, TLS-only queue and its dead letter queue, for one consuming function.

    ``consumer_timeout`` is the timeout of that function. ``fifo_delay`` makes a FIFO queue that delays each message.
    ``retry_alone`` adds a queue ``retries`` between the two: a message whose batch got no answer moves there after one
    try, and is then tried that many times, alone in its invocation. A message that kills the function then affects no
    other. ``removal`` says whether the queues outlive the stack: a dead letter may be all
    that is left of an upload.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        key: kms.IKey,
        consumer_timeout: Duration,
        removal: RemovalPolicy,
        fifo_delay: Duration | None = None,
        retry_alone: int = 0,
    ) -> None:
        super().__init__(scope, id_)
        self._key = key
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
            removal_policy=removal,
        )
        visibility = Duration.seconds(VISIBILITY_FACTOR * int(consumer_timeout.to_seconds()))
        self.retries: sqs.Queue | None = None
        next_queue, tries = self.dead_letters, MAX_RECEIVE_COUNT
        if retry_alone:
            self.retries = sqs.Queue(
                scope,
                "RetryQueue",
                encryption=sqs.QueueEncryption.KMS,
                encryption_master_key=key,
                enforce_ssl=True,
                retention_period=Duration.days(4),
                removal_policy=removal,
                visibility_timeout=visibility,
                dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=retry_alone),
            )
            next_queue, tries = self.retries, 1
        self.queue = sqs.Queue(
            self,
            "Queue",
            fifo=fifo,
            delivery_delay=fifo_delay,
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(4),
            removal_policy=removal,
            visibility_timeout=visibility,
            dead_letter_queue=sqs.DeadLetterQueue(queue=next_queue, max_receive_count=tries),
        )

    def grant_send(self, grantee: iam.IGrantable) -> None:
        """Let the grantee send messages."""
        allow(grantee, "sqs:SendMessage", on=[self.queue.queue_arn])
        allow_key(grantee, self._key, WRITE)

    def grant_measure(self, grantee: iam.IGrantable) -> None:
        """Let the grantee read how long messages have waited."""
        allow(
            grantee, "cloudwatch:GetMetricStatistics", on=["*"], because="The action takes no resources and conditions."
        )

    def receive_events_of(self, rule: events.Rule) -> None:
        """Send the rule's events to the queue; an event that cannot be delivered becomes a dead letter."""
        # By its ARN: given a queue and its key, the target would grant EventBridge more than it needs.
        queue = sqs.Queue.from_queue_arn(rule, "Queue", self.queue.queue_arn)
        rule.add_target(targets.SqsQueue(queue, dead_letter_queue=self.dead_letters))
        service = "events.amazonaws.com"
        by_rule = iam.ServicePrincipal(service, conditions={"ArnEquals": {"aws:SourceArn": rule.rule_arn}})
        self.queue.add_to_resource_policy(
            iam.PolicyStatement(principals=[by_rule], actions=["sqs:SendMessage"], resources=[self.queue.queue_arn])
        )
        # Not for the one rule: the rule needs the queue, which needs the key, which would need the rule.
        by_account = iam.ServicePrincipal(service, conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}})
        self._key.grant(by_account, *WRITE)

    def feed(
        self,
        function: lambda_.Function,
        *,
        batch_size: int,
        window: Duration | None = None,
        max_concurrency: int | None = None,
    ) -> None:
        """Let ``function`` consume the queue, and ``retries`` one by one; what it reports as failed comes again."""
        function.add_event_source(
            sources.SqsEventSource(
                self.queue,
                batch_size=batch_size,
                max_batching_window=window,
                max_concurrency=max_concurrency,
                report_batch_item_failures=True,
            )
        )
        if self.retries:
            function.add_event_source(
                sources.SqsEventSource(
                    self.retries, batch_size=1, max_concurrency=max_concurrency, report_batch_item_failures=True
                )
            )
