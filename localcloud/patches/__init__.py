"""Patches of the emulator, by service: each is a difference from AWS that a test or a user of a project would notice.

Every patch replaces private names. It checks them when it is installed, and says what to do if they have changed.
"""

from __future__ import annotations

from localcloud.patches import (
    api_destinations,
    cloudformation,
    cloudwatch,
    dynamodb,
    eventbridge,
    iam,
    s3,
    sqs,
    step_functions,
)
from localcloud.patches.patching import PatchError, check_version

__all__ = ["PatchError", "install"]


def install(*, lambda_concurrency: int) -> None:
    """Install every patch; raise PatchError if the installed emulator is not the one that they fit."""
    check_version()
    for service in (iam, s3, eventbridge, api_destinations, cloudformation, dynamodb, cloudwatch, step_functions):
        service.install()
    sqs.install(lambda_concurrency)
