"""What an account may demand of every resource of the stack: a permissions boundary, tags, a network.

The tags and the network of what the service makes itself (Models, jobs, endpoints) are a ``Placement``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aws_cdk import Aws, Stack, Tags
from aws_cdk import aws_iam as iam

if TYPE_CHECKING:
    from infra.config import StageConfig

POLICY_ARN = r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+"
POLICY_NAME = r"[\w+=,.@-]{1,128}"
KEY_ARN = r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[a-zA-Z0-9-]+"
TAG_TEXT = r"[\w .:/=+@-]*"  # what every service allows; no comma, which separates tags in settings of functions
KEY_LENGTH, VALUE_LENGTH = 128, 256
MOST_TAGS = 40  # of 50: SageMaker, Step Functions and CloudFormation add some
MOST_TAG_BYTES = 1500  # the environment of a function has 4 KB for all of its settings
RESERVED = ("aws:", "wetread:")  # AWS's, and the batch of a job


def obey(stack: Stack, config: StageConfig) -> None:
    """Give every role of the stack its permissions boundary, and every taggable resource its tags."""
    if config.permissions_boundary:
        arn = _boundary_arn(config.permissions_boundary)
        boundary = iam.ManagedPolicy.from_managed_policy_arn(stack, "PermissionsBoundary", arn)
        iam.PermissionsBoundary.of(stack).apply(boundary)
    for key, value in config.tags.items():
        Tags.of(stack).add(key, value)


def _boundary_arn(boundary: str) -> str:
    """Return the ARN of a policy that is given by its ARN, or by its name in this account."""
    if boundary.startswith("arn:"):
        return boundary
    return f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:policy/{boundary}"


def problems(config: StageConfig) -> Iterator[str]:
    """Yield one clause for each wrong value: the setting, its value, what is expected."""
    boundary = config.permissions_boundary
    if boundary and not re.fullmatch(f"{POLICY_ARN}|{POLICY_NAME}", boundary, re.ASCII):
        yield (
            f"permissions_boundary is {boundary!r}: the ARN of a managed policy is expected, or the name of one in "
            "the account (with its path, give the ARN)"
        )
    yield from _wrong_tags(config.tags)
    yield from _wrong_network(config)
    for name in ("data_key_arn", "uploads_key_arn"):
        arn = getattr(config, name)
        if arn and not re.fullmatch(KEY_ARN, arn):
            yield (
                f"{name} is {arn!r}: the ARN of a key is expected, 'arn:aws:kms:<region>:<account>:key/<id>', since a "
                "policy does not know aliases"
            )
    bucket = config.uploads_bucket
    if bucket and not re.fullmatch(r"(?!xn--|sthree-)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        yield f"uploads_bucket is {bucket!r}: the name of an existing bucket in the account and region is expected"
    if config.uploads_key_arn and not bucket:
        yield f"uploads_key_arn is {config.uploads_key_arn!r} and uploads_bucket empty: the bucket's name is expected"


def _wrong_network(config: StageConfig) -> Iterator[str]:
    for name, prefix, most in (("subnet_ids", "subnet", 16), ("security_group_ids", "sg", 5)):
        ids = getattr(config, name)
        wrong = [one for one in ids if not re.fullmatch(rf"{prefix}-([0-9a-f]{{8}}|[0-9a-f]{{17}})", one)]
        if wrong or len(ids) > most or len(set(ids)) < len(ids):
            like = f"'{prefix}-0a1b2c3d4e5f60718'"
            yield f"{name} is {list(ids)!r}: at most {most} different ids like {like} are expected"
    if bool(config.subnet_ids) != bool(config.security_group_ids):
        yield (
            f"subnet_ids is {list(config.subnet_ids)!r} and security_group_ids {list(config.security_group_ids)!r}: "
            "both or neither are expected, since a VpcConfig needs both"
        )


def _wrong_tags(tags: dict[str, str]) -> Iterator[str]:
    for key, value in tags.items():
        if not (re.fullmatch(TAG_TEXT, key) and 0 < len(key) <= KEY_LENGTH) or "=" in key or key != key.strip():
            yield (
                f"tags has the key {key!r}: 1 to {KEY_LENGTH} letters, digits, spaces and _ . : / + - @ are expected, "
                "without spaces at its ends"
            )
        if key.lower().startswith(RESERVED):
            yield f"tags has the key {key!r}: {' and '.join(RESERVED)} are reserved, another beginning is expected"
        if not re.fullmatch(TAG_TEXT, value) or len(value) > VALUE_LENGTH or value != value.strip():
            yield (
                f"tags has {key!r}: {value!r}: at most {VALUE_LENGTH} letters, digits, spaces and _ . : / = + - @ are "
                "expected, without spaces at its ends"
            )
    if len({key.lower() for key in tags}) < len(tags):
        yield f"tags has the keys {', '.join(tags)}: keys that differ in more than case are expected, as IAM does"
    if len(tags) > MOST_TAGS:
        yield f"tags has {len(tags)} keys: at most {MOST_TAGS} are expected, since AWS allows 50 and services add some"
    size = len(",".join(f"{key}={value}" for key, value in tags.items()).encode())
    if size > MOST_TAG_BYTES:
        yield f"tags has {size} bytes: at most {MOST_TAG_BYTES} are expected, since functions get them as a setting"
