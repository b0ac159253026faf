"""The topic that tells people: what the alarms found, and how a retraining ended."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.grants import WRITE, allow, allow_key


class Notices(sns.Topic):
    """An encrypted, TLS-only topic; ``email``, unless empty, is subscribed."""

    def __init__(self, scope: Construct, id_: str, *, key: kms.IKey, email: str) -> None:
        super().__init__(scope, id_, display_name="wetread notices", master_key=key, enforce_ssl=True)
        self._key = key
        self._let_alarms_publish()
        if email:
            self.add_subscription(subscriptions.EmailSubscription(email))

    def grant_tell(self, grantee: iam.IGrantable) -> None:
        """May publish (the topic's own grant allows more of the key)."""
        allow(grantee, "sns:Publish", on=[self.topic_arn])
        allow_key(grantee, self._key, WRITE)

    def _let_alarms_publish(self) -> None:
        # enforce_ssl replaces the default policy of a topic, and with it the right of alarms to publish.
        alarms = iam.ServicePrincipal(
            "cloudwatch.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        )
        self.add_to_resource_policy(
            iam.PolicyStatement(principals=[alarms], actions=["sns:Publish"], resources=[self.topic_arn])
        )
        self._key.grant(alarms, *WRITE)
