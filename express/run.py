"""One run: the objects of a manifest are read, and each answer is written where a transform job would write it.

A run may be ended at any instruction. What it has written by then counts; a transform job reads the rest.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from express.order import Order

log = logging.getLogger("express")

LEFT_SECONDS = 30.0  # no object is begun later than this before Lambda ends the run
READERS = 8  # objects that are fetched, computed or written at once
TAKEN = "PreconditionFailed"
Reader = Callable[[bytes], bytes | None]


class NotRead(Exception):
    """A run that reads nothing, with a reason that names no object."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """Runs orders. ``reader_of`` returns what reads an object's bytes with the order's model; None is no answer.

    ``report`` says that a job has ended. ``clock`` is in UTC.
    """

    s3: Any
    reader_of: Callable[[Order], Reader]
    report: Callable[[str], None]
    clock: Callable[[], datetime]

    def run(self, order: Order, seconds_left: Callable[[], float]) -> bool:
        """Run an order, unless another invocation of it has begun; return whether it was run."""
        if not self._begin(order):
            log.info("run %s has begun in another invocation, or was called off", order.job)
            return False
        try:
            left, reason = self._read_all(order, seconds_left), ""
        except NotRead as problem:
            left, reason = -1, str(problem)
        except Exception as error:  # its text may quote an object
            left, reason = -1, f"It ended in {type(error).__name__}."
        if left > 0:
            reason = f"It left {left} objects without an answer."
        status = "Failed" if left else "Completed"
        log.info("run %s: %s %s", order.job, status, reason)
        self._put(order, order.ended, {"Status": status, "Reason": reason, "At": self._now()})
        self.report(order.job)
        return True

    def _begin(self, order: Order) -> bool:
        """Make this invocation the run; return False if another is, or none may be.

        A put that is sent again after a lost answer finds what it has written itself.
        """
        mine = {"Invocation": order.invocation, "Process": secrets.token_hex(8), "At": self._now()}
        try:
            self._put(order, order.begun, mine, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] != TAKEN:
                raise
            return bool(json.loads(self._get(order.bucket, order.begun)) == mine)
        return True

    def _read_all(self, order: Order, seconds_left: Callable[[], float]) -> int:
        """Read every object while there is time; return how many have no answer."""
        manifest = json.loads(self._get(order.bucket, order.manifest))
        prefix, names = manifest[0]["prefix"], manifest[1:]
        folder = prefix.removeprefix(f"s3://{order.bucket}/")
        read = self.reader_of(order)

        def answer(name: str) -> bool:
            if seconds_left() < LEFT_SECONDS:
                return False
            try:
                said = read(self._get(order.bucket, folder + name))
                if said is not None:
                    self.s3.put_object(Bucket=order.bucket, Key=f"{order.outputs}{name}.out", Body=said)
            except Exception as error:  # one object without an answer keeps no other from its own
                log.warning("an object of run %s has no answer: %s", order.job, type(error).__name__)
                return False
            return said is not None

        with ThreadPoolExecutor(READERS) as pool:
            return sum(not answered for answered in pool.map(answer, names))

    def _get(self, bucket: str, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def _put(self, order: Order, key: str, document: Mapping[str, str], **condition: str) -> None:
        body = json.dumps(document).encode()
        self.s3.put_object(Bucket=order.bucket, Key=key, Body=body, ContentType="application/json", **condition)

    def _now(self) -> str:
        return self.clock().astimezone(UTC).isoformat(timespec="milliseconds")
