"""The emulator with our services and patches, served over HTTP until it is asked to end."""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import shlex
import shutil
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

from ministack import app as emulator_app  # before hypercorn, which it adapts

from hypercorn.asyncio import serve as serve_http  # isort: skip
from hypercorn.config import Config  # isort: skip

from localcloud import metrics, patches, service_quotas, states
from localcloud.access import http1
from localcloud.access.door import Application, Door, Receive, Send
from localcloud.access.key import Key
from localcloud.access.requests import Scope
from localcloud.home import Home
from localcloud.host.processes import guard
from localcloud.lambdas.environment import Environment
from localcloud.lambdas.install import install as install_lambdas
from localcloud.lambdas.pool import Pool
from localcloud.lambdas.runtime_packages import link_runtime_packages
from localcloud.options import Options
from localcloud.patches.persistence import Snapshots
from localcloud.sagemaker.install import install as install_sagemaker
from localcloud.sagemaker.machine import Machine
from localcloud.sagemaker.service import SageMaker


async def serve(home: Home, options: Options, key: Key) -> None:
    """Serve on the options' port until SIGTERM, Ctrl-C or the end of the tether; then save all state and end."""
    guard()
    shutil.rmtree(home.scratch, ignore_errors=True)
    home.scratch.mkdir(parents=True)
    patches.install(lambda_concurrency=options.lambda_concurrency)
    http1.install()
    for extension in filter(None, options.extensions.split(",")):
        importlib.import_module(extension).install()
    pool = _lambda_pool(home.scratch / "lambda", options, home.project.folder)
    install_lambdas(pool)
    snapshots = Snapshots()
    machine = Machine(
        endpoint=_endpoint(options),
        scratch=home.scratch / "jobs",
        ping_seconds=options.sagemaker_ping_seconds,
        project=replace(home.project, image=tuple(shlex.split(options.image_command)) or home.project.image),
    )
    sagemaker = SageMaker(machine, options, snapshots.touch)
    install_sagemaker(sagemaker)
    service_quotas.install(sagemaker.quotas)
    executions = states.install(sagemaker, machine.endpoint)
    watch = metrics.install()
    snapshots.start()
    watch.start()

    ended = _end_event(tether=options.tether)

    async def shutdown() -> None:
        await ended.wait()
        await asyncio.to_thread(watch.stop)
        executions.close()
        sagemaker.close()
        await asyncio.to_thread(pool.stop)
        await asyncio.to_thread(snapshots.stop)

    configuration = Config()
    configuration.bind = [f"127.0.0.1:{options.port}"]
    configuration.keep_alive_timeout = 75
    configuration.graceful_timeout = 1
    configuration.loglevel = "WARNING"
    door = Door(_emulated(snapshots), key, options.port)
    await serve_http(door, configuration, shutdown_trigger=shutdown)  # type: ignore[arg-type]


def _endpoint(options: Options) -> str:
    return f"http://127.0.0.1:{options.port}"


def _lambda_pool(scratch: Path, options: Options, image_root: Path) -> Pool:
    scratch.mkdir()
    start = functools.partial(
        Environment,
        scratch=scratch,
        runtime_packages=link_runtime_packages(scratch / "runtime"),
        endpoint=_endpoint(options),
        image_root=image_root,
    )
    return Pool(start, concurrency=options.lambda_concurrency, idle_seconds=options.lambda_idle_seconds)


def _end_event(*, tether: bool) -> asyncio.Event:
    """Return an event that is set when this process is asked to end."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    def follow_tether() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        loop.call_soon_threadsafe(ended.set)

    if tether:
        threading.Thread(target=follow_tether, name="tether", daemon=True).start()
    return ended


def _emulated(snapshots: Snapshots) -> Application:
    """Return the emulator's application; each request makes a snapshot of its state due."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await emulator_app.app(scope, receive, send)
        snapshots.touch()

    return application
