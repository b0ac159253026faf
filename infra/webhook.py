"""Sends the events of studies to a web address of the stage's choice, by an EventBridge API destination."""

from __future__ import annotations

from aws_cdk import Duration, SecretValue
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from functions.names import EVENT_SOURCE, StudyEvent
from infra.compliance import acknowledge
from infra.config import StageConfig
from infra.grants import acknowledge_inline_policy
from infra.kept import removal_policy

HEADER = "Authorization"


class Webhook(Construct):
    """A rule for every event of a study, and its target ``webhook_url``.

    EventBridge tries an event for a day, up to 185 times; what it could not deliver is in ``dead_letters``.
    """

    def __init__(self, scope: Construct, id_: str, *, config: StageConfig, key: kms.IKey) -> None:
        super().__init__(scope, id_)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(14),
            removal_policy=removal_policy(config),
        )
        acknowledge(
            self.dead_letters,
            "AwsSolutions-SQS3",
            because="It is the dead-letter queue, of a rule's target: the rule looks only at those of queues.",
        )
        secret = SecretValue.secrets_manager(
            config.webhook_secret_arn
        )  # CloudFormation reads it, the template has it not
        connection = events.Connection(
            self,
            "Connection",
            description="The Authorization header of the webhook",
            authorization=events.Authorization.api_key(HEADER, secret),
        )
        destination = events.ApiDestination(
            self, "Destination", connection=connection, endpoint=config.webhook_url, http_method=events.HttpMethod.POST
        )
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("events.amazonaws.com"))
        acknowledge_inline_policy(role)
        rule = events.Rule(
            self,
            "StudyRead",
            description="Every read of a study",
            event_pattern=events.EventPattern(
                source=[EVENT_SOURCE],
                detail_type=[one.value for one in StudyEvent],
                detail={"Service": [config.service_name]},
            ),
        )
        rule.add_target(targets.ApiDestination(destination, event_role=role, dead_letter_queue=self.dead_letters))
