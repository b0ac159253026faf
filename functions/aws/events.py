"""Reads the events that reach the functions, field by field.

Keys in EventBridge events are raw: "a+b c.dcm" arrives as it is, unlike in S3's own notifications, so no key is
unquoted here. Times in SageMaker's events differ from its documentation, so only a job's name is read from them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.domain.errors import MalformedEvent
from functions.domain.row import moment_of, timestamp

MOST_BYTES = 2**63  # more than the largest object of S3, and within the index's range of numbers


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
    size = _field(s3_object, "size")
    if type(size) is not int or not 0 <= size < MOST_BYTES:
        raise MalformedEvent("The event's size is not a whole number; it is not one that this queue takes.")
    return ObjectCreated(
        bucket=_text(_field(detail, "bucket"), "name"),
        key=_text(s3_object, "key"),
        version_id=_text({"version-id": "null", **s3_object}, "version-id"),
        size=size,
        sequencer=_text({"sequencer": "", **s3_object}, "sequencer"),
        time=_time(_text(event, "time")),
    )


@dataclass(frozen=True, kw_only=True)
class JobEnded:
    """A job or run that is said to have ended; ``invocation`` names one that Lambda has given up, "" for none."""

    name: str
    invocation: str = ""


def job_ended(body: str) -> JobEnded:
    """Read the end of a job from an SQS message body.

    It is a "SageMaker Transform Job State Change" event, the same shape from the function express, or Lambda's record
    of an invocation of that function that failed.
    """
    event = _event(body)
    if isinstance(event, dict) and "requestPayload" in event:
        name, context = _text(_field(event, "requestPayload"), "Job"), _field(event, "requestContext")
        return JobEnded(name=name, invocation=_text(context, "requestId"))
    return JobEnded(name=_text(_field(event, "detail"), "TransformJobName"))


def model_package_arn(body: str) -> str:
    """Read the ARN from a "SageMaker Model Package State Change" event in an SQS message body."""
    return _text(_field(_event(body), "detail"), "ModelPackageArn")


def _text(document: Mapping[str, Any], name: str) -> str:
    """Return a field that is text and encodes to UTF-8, as S3's keys do."""
    value = _field(document, name)
    try:
        value.encode()
    except (AttributeError, UnicodeEncodeError) as error:
        raise MalformedEvent(f"The event's field {name!r} is no text; it is not one that this queue takes.") from error
    return str(value)


def _time(text: str) -> str:
    try:
        timestamp(moment_of(text))
    except (ValueError, OverflowError) as error:  # a time at the calendar's end may have none in UTC
        raise MalformedEvent("The event's time is not ISO 8601; it is not one that this queue takes.") from error
    return text


def _event(body: str) -> Mapping[str, Any]:
    try:
        event: Mapping[str, Any] = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedEvent("The message is not JSON; it did not come from EventBridge.") from error
    return event


def _field(document: Mapping[str, Any], name: str) -> Any:
    try:
        return document[name]
    except (KeyError, TypeError) as error:
        raise MalformedEvent(f"The event has no field {name!r}; it is not one that this queue takes.") from error
