"""What remains of a stack that is destroyed: the removal policy of everything that a stage protects."""

from __future__ import annotations

from aws_cdk import RemovalPolicy

from infra.config import StageConfig


def removal_policy(config: StageConfig) -> RemovalPolicy:
    """Return the policy of buckets, queues, keys, logs and groups: kept after the stack if the stage protects its data.

    A first deployment that fails removes them again. They are empty, and a name that stays taken would fail the next.
    """
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if config.protect_data else RemovalPolicy.DESTROY
