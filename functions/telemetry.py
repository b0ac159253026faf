"""Logs and metrics, the same for every function: JSON lines without keys or patients, metrics in embedded format.

Only the handlers import this module, since it configures the process. All other modules log to
``logging.getLogger(__name__)``: under Lambda those lines end here, in other programs wherever these send them.
"""

from __future__ import annotations

import functools
import itertools
import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.metrics import MetricUnit

from functions.aws.trouble import loggable
from functions.domain.errors import HandlerFailed, WetreadError
from functions.names import METRIC_NAMESPACE, Metric

Handler = Callable[[dict[str, Any], Any], Any]

# Both take the service name, which is the metrics' dimension, from POWERTOOLS_SERVICE_NAME.
logger = Logger()
metrics = Metrics(namespace=METRIC_NAMESPACE)

_log = logging.getLogger(__name__)
# Powertools names its logger after the service, so no module's logger is below it. The package's logger gets its
# handler and level, and passes nothing on to the root logger, where Lambda would write each line again.
copy_config_to_registered_loggers(logger, include={"functions"})

# pydicom repeats odd values in its warnings; a value of a DICOM object may be a patient's and belongs in no log.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module="pydicom")


def count(values: Mapping[Metric, float]) -> None:
    """Add values to the metrics that the handler's decorator flushes when it returns."""
    for metric, value in values.items():
        unit = MetricUnit.Seconds if metric.endswith("Seconds") else MetricUnit.Count
        metrics.add_metric(name=metric, unit=unit, value=value)


def traced(handler: Handler) -> Handler:
    """Wrap a handler: every log line of an invocation has its request id, and whether it is the process's first.

    Nothing of the event is logged: it may name an object.
    """
    invocations = itertools.count()

    @functools.wraps(handler)
    def with_request_id(event: dict[str, Any], context: Any) -> Any:
        request_id = getattr(context, "aws_request_id", None)
        logger.append_keys(function_request_id=request_id, cold_start=next(invocations) == 0)
        return handler(event, context)

    return with_request_id


def without_error_text(handler: Handler) -> Handler:
    """Wrap a handler so that its error text never has an object's key, which S3's access errors have.

    Lambda logs what a handler raises, and the state machine copies it into its history and into mails.
    """

    @functools.wraps(handler)
    def guarded(event: dict[str, Any], context: Any) -> Any:
        try:
            return handler(event, context)
        except WetreadError:  # the functions' own sentences
            raise
        except Exception as error:
            facts = loggable(error)
        _log.error("the function failed", extra=facts)
        what = f"{facts['aws_error']} in {facts['operation']}" if "aws_error" in facts else facts["error"]
        # Raised outside of `except`, so that __context__ does not carry the original text.
        raise HandlerFailed(f"{what}; the function's log says where.")

    return guarded
