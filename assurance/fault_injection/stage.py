"""The service that is broken on purpose: a separate local cloud with a small model."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from benchmarks.memory import descendants
from functions.domain import layout
from functions.domain.row import Row, Status
from localcloud import cloud
from localcloud.home import home_of
from localcloud.host import process
from tests import express_lane
from wetread.connection import Choice, Connection, connect
from wetread.demo.phantoms import LABELS, phantom_bytes
from wetread.operations.service_status import dead_letters
from wetread.project import PROJECT

SIDE = 64
PATIENCE_SECONDS = 900.0
"""More than two redeliveries of a killed dispatch's message, six minutes each: the machine may be busy."""
CLIENTS = 8


@dataclass(frozen=True)
class Settled:
    """The result of a fault: uploads by terminal status, and seconds from the start of waiting to quiescence."""

    seconds: float
    completed: int
    failed: int
    lost: int
    dead_letters: int
    jobs: int


class Stage:
    """One local cloud; ``upload`` gives it new good slices, ``settle`` waits until every upload has ended."""

    def __init__(self, scratch: Path, artifact: Path | None) -> None:
        """Start the cloud in ``scratch`` and make ``artifact``, if there is one, the champion."""
        os.environ["WETREAD_HOME"] = str(scratch / "home")
        self._numbers = iter(range(1_000_000))
        self.start()
        express_lane.switch(self.connection, on=False)  # what needs the lane switches it on
        if artifact:
            self.promote(artifact)

    @property
    def connection(self) -> Connection:
        """A new connection: a kill breaks the old ones."""
        return connect(Choice(local=True, profile=None, region=None, stack="Wetread"))

    def start(self, **options: str) -> None:
        """Start the cloud; ``options`` are environment variables of the launcher."""
        os.environ.update(options)
        cloud.up(PROJECT, tether=True)

    def restart(self, **options: str) -> None:
        """Stop the cloud in good order and start it with other options."""
        cloud.down(PROJECT)
        self.start(**options)

    @property
    def launcher(self) -> int:
        """The process id of the cloud."""
        pid = process.running(home_of(PROJECT))
        assert pid, "the cloud does not run"
        return pid

    def promote(self, artifact: Path) -> None:
        """Make an artifact the champion, as a person does."""
        registry = self.connection.registry
        registry.promote(registry.register(artifact).model_package)

    def processes(self, command: str) -> set[int]:
        """Return the ids of the cloud's processes with ``command`` in their command line."""
        return descendants(self.launcher, command)

    def upload(self, count: int) -> dict[str, str]:
        """Put ``count`` different phantoms; return Upload ids by object key."""
        return self.put_all(self.phantoms(count))

    def phantoms(self, count: int) -> dict[str, bytes]:
        """Return ``count`` different phantoms by object key."""
        numbers = [next(self._numbers) for _ in range(count)]
        return {f"faults/{one}.dcm": phantom_bytes(LABELS[one % 3], one, 0, size=SIDE) for one in numbers}

    def put_all(self, bodies: Mapping[str, bytes]) -> dict[str, str]:
        """Put objects; return Upload ids by object key."""
        connection = self.connection
        bucket = connection.deployment.uploads_bucket_name

        def put(key: str) -> tuple[str, str]:
            version = connection.s3.put_object(Bucket=bucket, Key=key, Body=bodies[key])["VersionId"]
            return key, layout.upload_id(key, version)

        with ThreadPoolExecutor(CLIENTS) as pool:
            return dict(pool.map(put, bodies))

    def rows(self, uploads: Mapping[str, str]) -> dict[str, Row]:
        """Return the existing rows by Upload id."""
        return self.connection.index.get_many(list(uploads.values()))

    def until(self, happened: Callable[[], Any]) -> Any:
        """Wait until ``happened`` returns a true value and return it; errors of the cloud are retried."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with suppress(ClientError, BotoCoreError):
                found = happened()
                if found:
                    return found
            time.sleep(0.2)
        raise TimeoutError(f"It did not happen within {PATIENCE_SECONDS:g} seconds.")

    def settle(self, uploads: Mapping[str, str]) -> Settled:
        """Wait until every upload has its terminal row and every slot is free, or patience ends: the rest is lost."""
        began = time.monotonic()

        def quiet() -> bool:
            rows = self.rows(uploads)
            ended = len(rows) == len(uploads) and all(row.status.terminal for row in rows.values())
            return ended and not self.connection.batches.holders()

        with suppress(TimeoutError):
            self.until(quiet)
        seconds = time.monotonic() - began
        rows = self.rows(uploads)
        ended = [row.status for row in rows.values() if row.status.terminal]
        return Settled(
            seconds=seconds,
            completed=ended.count(Status.COMPLETED),
            failed=len(ended) - ended.count(Status.COMPLETED),
            lost=len(uploads) - len(ended),
            dead_letters=sum(dead_letters(self.connection).values()),
            jobs=len({row.transform_job_name for row in rows.values()}),
        )
