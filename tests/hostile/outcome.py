"""The outcome of one object: the code of its refusal or error, or READ. Other exceptions propagate."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from functions.domain import instance as instances
from functions.domain.errors import Refusal, RefusalCode
from functions.domain.header import header_of
from infra.config import StageConfig
from model_code.errors import InstanceCode, InstanceError
from model_code.inference import input_fn
from tests.hostile.objects import SECRET

READ = "Read"
LONGEST_MESSAGE = 400  # a row's reason and an error document are for people
STAGE = StageConfig()
SERVED = STAGE.served


class Unsound(Exception):
    """The product breaks a promise with a reading or a message."""


@dataclass(frozen=True)
class Outcome:
    """``ingest``: a RefusalCode or READ. ``container``: an InstanceCode or READ."""

    ingest: str
    container: str


def outcome(body: bytes) -> Outcome:
    """Return both outcomes for ``body``; a warning of the product is an error too, because it would fill a log."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Outcome(ingest(body), container(body))


def ingest(body: bytes) -> str:
    """Run the steps of ``flow.ingesting`` that depend on the object, in order."""
    try:
        instances.check_size(len(body), SERVED)
        instance = instances.describe(header_of(lambda length: body[:length], len(body)))
        instances.check(instance, SERVED)
        if not instances.is_uid(instances.identified(instance, "0" * 64).sop_instance_uid):
            raise Unsound("an Instance without a SOPInstanceUID")
    except Refusal as refusal:
        _check_message(refusal.reason)
        return str(RefusalCode(refusal.code))
    return READ


def container(body: bytes) -> str:
    """Run ``input_fn`` and check what it returns."""
    reading = input_fn(body, "application/dicom").reading
    if isinstance(reading, InstanceError):
        _check_message(reading.message)
        return str(InstanceCode(reading.code))
    hounsfield = reading.hounsfield
    if hounsfield.dtype != np.float32 or hounsfield.ndim != 2 or not np.isfinite(hounsfield).all():
        raise Unsound(f"a reading of {hounsfield.dtype}, {hounsfield.shape}, or not finite")
    return READ


def _check_message(message: str) -> None:
    if SECRET in message or len(message) > LONGEST_MESSAGE or not message.isprintable():
        raise Unsound(f"a message of {len(message)} characters, or with what a person typed: {message[:200]!r}")
