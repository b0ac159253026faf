"""The topic for people: alarms, and how a retraining ended."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.grants import WRITE, allow, allow_key


class Notices(sns.Topic):
    """An encrypted, TLS-only topic; ``email`` is subscribed unless it is empty."""

    def __init__(self, scope: Construct, id_: str, *, key: kms.IKey, email: str) -> None:
        super().__init__(scope, id_, display_name="wetread notices", master_key=key, enforce_ssl=True)
        self._key = key
        self._let_alarms_publish()
        if email:
            self.add_subscription(subscriptions.EmailSubscription(email))

    def grant_publish_notices(self, grantee: iam.IGrantable) -> None:
        """Let the grantee publish. The topic's own grant allows more on the key."""
        allow(grantee, "sns:Publish", on=[self.topic_arn])
        allow_key(grantee, self._key, WRITE)

    def _let_alarms_publish(self) -> None:
        # enforce_ssl replaces the topic's default policy, and with it the right of alarms to publish.
        alarms = iam.ServicePrincipal(
            "cloudwatch.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        )
        self.add_to_resource_policy(
            iam.PolicyStatement(principals=[alarms], actions=["sns:Publish"], resources=[self.topic_arn])
        )
        self._key.grant(alarms, *WRITE)
