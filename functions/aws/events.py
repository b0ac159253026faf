"""Reads the events that reach the functions, field by field.

Keys in EventBridge events are raw: "a+b c.dcm" arrives as it is, unlike in S3's own notifications, so nothing is
un-quoted here. Times in SageMaker's events differ from its documentation, so only a job's name is taken from them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.domain.errors import MalformedEvent


@dataclass(frozen=True, kw_only=True)
class ObjectCreated:
    """One object version that appeared in the uploads bucket; ``size`` in bytes, ``time`` ISO 8601."""

    bucket: str
    key: str
    version_id: str
    size: int
    sequencer: str
    time: str


def object_created(body: str) -> ObjectCreated:
    """Read S3's "Object Created" event from an SQS message body; raise MalformedEvent for anything else."""
    event = _event(body)
    detail = _field(event, "detail")
    s3_object = _field(detail, "object")
    return ObjectCreated(
        bucket=_field(_field(detail, "bucket"), "name"),
        key=_field(s3_object, "key"),
        version_id=s3_object.get("version-id", "null"),
        size=int(_field(s3_object, "size")),
        sequencer=s3_object.get("sequencer", ""),
        time=_field(event, "time"),
    )


def transform_job_name(body: str) -> str:
    """Read the name from a "SageMaker Transform Job State Change" event in an SQS message body."""
    name: str = _field(_field(_event(body), "detail"), "TransformJobName")
    return name


def model_package_arn(body: str) -> str:
    """Read the ARN from a "SageMaker Model Package State Change" event in an SQS message body."""
    arn: str = _field(_field(_event(body), "detail"), "ModelPackageArn")
    return arn


def _event(body: str) -> Mapping[str, Any]:
    try:
        event: Mapping[str, Any] = json.loads(body)
    except ValueError as error:
        raise MalformedEvent("The message is not JSON; it did not come from EventBridge.") from error
    return event


def _field(document: Mapping[str, Any], name: str) -> Any:
    try:
        return document[name]
    except (KeyError, TypeError) as error:
        raise MalformedEvent(f"The event has no field {name!r}; it is not one that this queue takes.") from error
