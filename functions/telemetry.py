"""Logs and metrics, the same for every function: JSON lines without keys or patients, metrics in embedded format."""

from __future__ import annotations

import functools
import logging
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import ClientError

from functions.aws.items import error_code
from functions.domain.errors import WetreadError
from functions.names import METRIC_NAMESPACE, Metric

# Both take the service name, which is the metrics' dimension, from POWERTOOLS_SERVICE_NAME.
logger = Logger()
metrics = Metrics(namespace=METRIC_NAMESPACE)

# pydicom repeats odd values in its warnings; a value of a DICOM object may be a patient's and belongs in no log.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module="pydicom")


def count(values: Mapping[Metric, float]) -> None:
    """Add values to the metrics that the handler's decorator flushes when it returns."""
    for metric, value in values.items():
        unit = MetricUnit.Seconds if metric.endswith("Seconds") else MetricUnit.Count
        metrics.add_metric(name=metric, unit=unit, value=value)


class HandlerFailed(Exception):
    """A function failed; the message says at what, without the text of the error."""


def facts(error: Exception) -> dict[str, Any]:
    """What may be logged of an error: its text may name an object's key, and with it a patient."""
    frames = traceback.extract_tb(error.__traceback__)
    told: dict[str, Any] = {
        "error": type(error).__name__,
        "trace": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if isinstance(error, ClientError):
        told |= {"aws_error": error_code(error), "operation": error.operation_name}
    return told


def discreet(handler: Callable[[dict[str, Any], object], Any]) -> Callable[[dict[str, Any], object], Any]:
    """A handler whose errors tell nothing of the objects that it reads: S3 names the one that a role may not read.

    What a handler raises is logged by Lambda and carried on by the state machine, into its history and people's mail.
    """

    @functools.wraps(handler)
    def discreetly(event: dict[str, Any], context: object) -> Any:
        try:
            return handler(event, context)
        except WetreadError:  # our own sentences
            raise
        except Exception as error:
            told = facts(error)
        logger.error("the function failed", extra=told)
        what = f"{told['aws_error']} in {told['operation']}" if "aws_error" in told else told["error"]
        raise HandlerFailed(
            f"{what}; the function's log tells where."
        )  # out here it has no context, which has the text

    return discreetly
