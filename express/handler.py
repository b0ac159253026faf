"""Lambda: one order in, one run. Dispatch invokes it; a failure goes to the queue of job events by Lambda itself."""

from __future__ import annotations

import functools
import json
import logging
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3

from express.models import Models
from express.order import Order
from express.run import Running

# The model's process and its decoders inherit the environment, and need no key to the buckets.
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def scratch() -> Path:
    """Return an empty folder for the model, which is the same for every process on this disk.

    After a run that was out of time or memory, Lambda starts the next process on the disk of the dead one.
    """
    folder = Path(tempfile.gettempdir(), "ml")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    return folder


@functools.cache
def _running() -> Running:
    logging.getLogger().setLevel(logging.INFO)
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    base = scratch()
    os.environ["SAGEMAKER_BASE_DIR"] = str(base)
    for name in SECRETS:
        os.environ.pop(name, None)

    def report(job: str) -> None:
        body = json.dumps({"detail": {"TransformJobName": job}})
        sqs.send_message(QueueUrl=os.environ["JOB_EVENTS_QUEUE_URL"], MessageBody=body)

    return Running(s3=s3, reader_of=Models(s3, base).reader_of, report=report, clock=lambda: datetime.now(UTC))


def handler(event: dict[str, Any], context: Any) -> dict[str, bool]:
    """Run the order."""
    order = Order.of(event, context.aws_request_id)
    return {"Run": _running().run(order, lambda: context.get_remaining_time_in_millis() / 1000)}
