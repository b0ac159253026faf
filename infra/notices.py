"""The topic that tells people: what the alarms found, and how a retraining ended."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct


class Notices(sns.Topic):
    """An encrypted, TLS-only topic; ``email``, unless empty, is subscribed."""

    def __init__(self, scope: Construct, id_: str, *, key: kms.IKey, email: str) -> None:
        super().__init__(scope, id_, display_name="wetread notices", master_key=key, enforce_ssl=True)
        # enforce_ssl replaces the default policy of a topic, and with it the right of alarms to publish.
        self.grant_publish(
            iam.ServicePrincipal(
                "cloudwatch.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            )
        )
        if email:
            self.add_subscription(subscriptions.EmailSubscription(email))
