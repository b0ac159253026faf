"""Logs and metrics, the same for every function: JSON lines without keys or patients, metrics in embedded format."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from functions.settings import METRIC_NAMESPACE, Metric

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
