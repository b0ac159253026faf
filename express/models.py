"""The model of an order, in a process of its own, kept from one invocation to the next."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sys
import tempfile
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import model_code
from express.order import Order
from express.run import NotRead, Reader
from model_code.container import DEFAULT_ANSWER_SECONDS
from model_code.errors import InstanceCode, ModelCodeError
from model_code.serving.supervisor import Reply, Request, Supervisor
from untrusted.archive import DAMAGED, HostileArchive, checked, opened

# As model_code.artifacts.artifact has them, without torch, which only the model's process imports.
CODE = "code"
SCRIPT = f"{CODE}/inference.py"
OURS = Path(str(model_code.__file__)).parent / "script/inference.py"
CHUNK = 1024 * 1024
# What the supervisor says of an object that ended or held the model's process. A host has more memory and more cores.
OF_THIS_MACHINE = frozenset({InstanceCode.KILLS_CONTAINER, InstanceCode.HOLDS_CONTAINER})
T = TypeVar("T")


class Models:
    """Reads with the supervisor and the process of ``serve``, so an object that ends that process ends no run."""

    def __init__(self, s3: Any, base: Path) -> None:
        """Prepare to keep one model below ``base``, which is the container's /opt/ml."""
        self._s3, self._base = s3, base
        self._loop = asyncio.new_event_loop()
        self._sha256 = ""
        self._supervisor: Supervisor
        self._watching: asyncio.Task[None]
        threading.Thread(target=self._loop.run_forever, name="express", daemon=True).start()

    def reader_of(self, order: Order) -> Reader:
        """Return what reads an object with the order's model; raise NotRead if the artifact is not what it must be."""
        if self._sha256 != order.artifact_sha256 or self._watching.done():
            self._replace(order)
        return self._read

    def _read(self, body: bytes) -> bytes | None:
        """Return the answer to one object, None where the model's process has none.

        None as well where the object ended or held that process, or its decoder: only a transform job may end an
        upload for that.
        """
        reply = self._wait(self._answer(Request("application/dicom", "application/json", body)))
        if reply is None or reply.status != 200:
            return None
        error = json.loads(reply.body).get("Error") or {}
        is_of_this_machine = error.get("OfThisMachine") or error.get("Code") in OF_THIS_MACHINE
        return None if is_of_this_machine else reply.body

    async def _answer(self, request: Request) -> Reply | None:
        """Return the supervisor's reply, None if it gives up: then no process is there that could answer."""
        answer = asyncio.create_task(self._supervisor.answer(request))
        await asyncio.wait({answer, self._watching}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None

    def _replace(self, order: Order) -> None:
        if self._sha256:
            self._wait(self._stop())
        self._sha256 = ""
        try:
            self._fetch(order)
            self._wait(self._start())
        except ModelCodeError as error:
            raise NotRead(f"Its model does not load: {error}") from error
        self._sha256 = order.artifact_sha256

    def _fetch(self, order: Order) -> None:
        """Put the order's artifact in the place of the last one, with the image's own code in place of its code."""
        bucket, _, key = order.artifact.removeprefix("s3://").partition("/")
        model = self._base / "model"
        shutil.rmtree(model, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=self._base) as folder:
            archive, digest = Path(folder, "model.tar.gz"), hashlib.sha256()
            body = self._s3.get_object(Bucket=bucket, Key=key)["Body"]
            with archive.open("wb") as file:
                while chunk := body.read(CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != order.artifact_sha256:
                raise NotRead("Its artifact has another SHA-256 than the model that was promoted.")
            _unpack(archive, model)
        script = model / SCRIPT
        if not script.is_file() or script.read_bytes() != OURS.read_bytes():
            raise NotRead("Its artifact has another script: only a transform job runs it.")
        shutil.rmtree(model / CODE)
        shutil.copytree(OURS.parent, model / CODE, ignore=shutil.ignore_patterns("__pycache__"))

    async def _start(self) -> None:
        command = [sys.executable, "-m", "model_code", "answer"]
        self._supervisor = Supervisor(command, self._base / "model", DEFAULT_ANSWER_SECONDS)
        await self._supervisor.start()
        self._watching = asyncio.create_task(self._supervisor.keep_running())

    async def _stop(self) -> None:
        self._watching.cancel()
        await self._supervisor.stop()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _unpack(archive: Path, model: Path) -> None:
    try:
        with opened(archive) as tar:
            for member in checked(tar):
                tar.extract(member, model, filter="data")
    except (HostileArchive, *DAMAGED) as error:
        raise NotRead(f"Its artifact cannot be unpacked: {type(error).__name__}.") from error
