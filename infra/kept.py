"""What is kept, and how long: the removal policy of everything that a stage protects, and the retention of logs."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs

from infra.config import StageConfig
from infra.validation import LOG_RETENTIONS


def removal_policy(config: StageConfig) -> RemovalPolicy:
    """Return the policy of buckets, queues, keys, logs and groups: kept after the stack if the stage protects its data.

    A first deployment that fails removes them again. They are empty, and a name that stays taken would fail the next.
    """
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if config.protect_data else RemovalPolicy.DESTROY


def log_retention(config: StageConfig) -> logs.RetentionDays:
    """Return after how long the stack's log groups delete their events."""
    return logs.RetentionDays[LOG_RETENTIONS[config.logs_kept_days]]
