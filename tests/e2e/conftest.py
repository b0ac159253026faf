"""The whole service, once for all end-to-end tests: a separate local cloud, and a small trained model."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from functions.domain import layout
from functions.domain.row import Row
from localcloud import cloud
from localcloud.deploy import synthesis
from localcloud.project import Project
from wetread.connection import Choice, Connection, connect
from wetread.project import PROJECT

JOBS_ALONE = {"express": False}


@dataclass(frozen=True)
class Service:
    """A running service and what tests do with it."""

    connection: Connection
    artifact: Path
    environment: Mapping[str, str]

    def put(self, key: str, body: bytes) -> str:
        """Upload one object; return its Upload's id."""
        bucket = self.connection.deployment.uploads_bucket_name
        version = self.connection.s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
        return layout.upload_id(key, version)

    def put_all(self, bodies: Mapping[str, bytes]) -> dict[str, str]:
        """Upload many at once; return Upload ids by key."""
        with ThreadPoolExecutor(8) as pool:
            return dict(zip(bodies, pool.map(self.put, bodies, bodies.values()), strict=True))

    def rows(self, uploads: Mapping[str, str], seconds: float = 240) -> dict[str, Row]:
        """Wait until all rows are terminal; return them by key."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.connection.index.get_many(uploads.values())
            if len(found) == len(set(uploads.values())) and all(row.status.terminal for row in found.values()):
                return {key: found[upload] for key, upload in uploads.items()}
            if time.monotonic() > deadline:
                waiting = [row for row in found.values() if not row.status.terminal]
                raise AssertionError(f"{len(found)} of {len(uploads)} rows, {len(waiting)} not terminal: {waiting[:3]}")
            time.sleep(0.5)

    def jobs(self) -> list[str]:
        """Return the names of all transform jobs so far."""
        pages = self.connection.client("sagemaker").get_paginator("list_transform_jobs").paginate()
        return [job["TransformJobName"] for page in pages for job in page["TransformJobSummaries"]]

    def queue_url(self, part: str) -> str:
        """Return the URL of the queue with ``part`` in its name, dead letter queues excluded."""
        urls = self.connection.sqs.list_queues()["QueueUrls"]
        dead = self.connection.deployment.dead_letter_queue_urls
        (url,) = [one for one in urls if part in one.rsplit("/", 1)[-1] and one not in dead]
        return url

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``wetread --local`` as a person would."""
        program = Path(sys.executable).parent / "wetread"
        return subprocess.run(
            [program, "--local", *arguments], env=dict(self.environment), capture_output=True, text=True, check=False
        )


def deploy(settings: Mapping[str, Any], assemblies: Path) -> None:
    """Start the local cloud with ``settings`` in its stage; stages with the same settings share one synthesis."""
    context = synthesis._context(PROJECT.folder)
    stages: Any = context["stages"]
    changed = context | {"stages": stages | {"local": stages["local"] | settings}}

    def synthesise(project: Project, stage: str, output: Path) -> None:
        made_from = json.dumps([synthesis.fingerprint(project, stage), changed], sort_keys=True)
        made = assemblies / f"assembly-{hashlib.sha256(made_from.encode()).hexdigest()}"
        with made.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                synthesis.synthesise(project, stage, made.with_suffix(".part"))
                made.with_suffix(".part").rename(made)
        shutil.copytree(made, output, dirs_exist_ok=True)

    # For the deployment only: the same worker also runs tests of the synthesis itself.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthesis, "_context", lambda _folder: changed)
        patch.setattr(cloud, "synthesise", synthesise)
        cloud.up(PROJECT, tether=True)


@contextmanager
def running(
    home: Path, artifact: Path, *, champion: bool = True, settings: Mapping[str, Any] | None = None, **environment: str
) -> Iterator[Service]:
    """Deploy the service into a separate local cloud with its data in ``home``, with or without a champion.

    ``settings`` are what the stage has besides those of the stage ``local``. It reads by transform jobs alone unless
    they ask for the express lane.
    """
    patch = pytest.MonkeyPatch()
    state = {"WETREAD_HOME": str(home), "XDG_STATE_HOME": str(home / ".state")}
    for name, value in (state | environment).items():
        patch.setenv(name, value)
    try:
        deploy(JOBS_ALONE | dict(settings or {}), _of_all_processes(home.parent))
        connection = connect(Choice(local=True, profile=None, region=None, stack="Wetread"))
        if champion:
            connection.registry.promote(connection.registry.register(artifact).model_package)
        yield Service(connection, artifact, dict(os.environ))
    finally:
        cloud.down(PROJECT)
        patch.undo()


def _of_all_processes(base: Path) -> Path:
    """Return the folder of the whole run, of which ``base`` is one process's."""
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Service]:
    """The service that most tests share."""
    with running(tmp_path_factory.mktemp("home"), artifact) as service:
        yield service
