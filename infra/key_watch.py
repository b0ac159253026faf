"""Notices of keys that are disabled or scheduled for deletion: the data that they encrypt would be lost."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.compliance import acknowledge

ENDINGS = ("DisableKey", "ScheduleKeyDeletion")


class KeyWatch(Construct):
    """``topic`` gets a message for each call that disables or deletes one of ``keys``; ``email`` may be empty.

    EventBridge gets such calls from CloudTrail only: the account needs a trail that logs management events.
    """

    def __init__(self, scope: Construct, id_: str, *, keys: Sequence[kms.IKey], email: str) -> None:
        super().__init__(scope, id_)
        self.topic = sns.Topic(self, "Topic", display_name="wetread keys", enforce_ssl=True)
        acknowledge(
            self.topic,
            "HIPAA.Security-SNSEncryptedKMS",
            because="A topic under a watched key could not publish when that key ends, and no notice has data.",
        )
        if email:
            self.topic.add_subscription(subscriptions.EmailSubscription(email))
        rule = self._rule(keys)
        # By its ARN: given the topic itself, the target would let every rule of the account publish.
        topic = sns.Topic.from_topic_arn(rule, "Topic", self.topic.topic_arn)
        rule.add_target(targets.SnsTopic(topic, message=_message()))
        by_rule = iam.ServicePrincipal(
            "events.amazonaws.com", conditions={"ArnEquals": {"aws:SourceArn": rule.rule_arn}}
        )
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(principals=[by_rule], actions=["sns:Publish"], resources=[self.topic.topic_arn])
        )

    def _rule(self, keys: Sequence[kms.IKey]) -> events.Rule:
        # A caller gives the id or the ARN: both calls refuse an alias.
        names = [name for key in keys for name in (key.key_id, key.key_arn)]
        return events.Rule(
            self,
            "KeyEnds",
            description="A key of the stage is disabled or scheduled for deletion",
            event_pattern=events.EventPattern(
                source=["aws.kms"],
                detail_type=["AWS API Call via CloudTrail"],
                detail={
                    "eventSource": ["kms.amazonaws.com"],
                    "eventName": list(ENDINGS),
                    "requestParameters": {"keyId": names},
                    "errorCode": [{"exists": False}],  # not a refused call
                },
            ),
        )


def _message() -> events.RuleTargetInput:
    detail = events.EventField.from_path
    return events.RuleTargetInput.from_text(
        f"wetread: {detail('$.detail.eventName')} of the key {detail('$.detail.requestParameters.keyId')} "
        f"at {events.EventField.time} by {detail('$.detail.userIdentity.arn')}. "
        "Nothing that needs this key works until it is enabled again, and what it encrypts is lost once it is deleted. "
        "See Keys in docs/operations.md."
    )
