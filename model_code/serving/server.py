"""The HTTP side of ``serve``: /ping, /execution-parameters and /invocations in one process.

Requests are read and decoded while others are computed. Each prediction runs on one thread, and there are as many
threads as cores: on a CPU two single-threaded predictions at once are faster than two in turn on two threads, and an
answer does not depend on what else is running.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from model_code.backends import gpu
from model_code.backends.processor import CORES
from model_code.container import MAX_JOB_PAYLOAD_MB, MEBIBYTE, Binding
from model_code.errors import NotAcceptable, UnsupportedMediaType
from model_code.serving.request_log import current_request
from model_code.serving.script_loader import Script, load_script

SHUTDOWN_SECONDS = 20
# A thread decodes some 150 slices a second, in the time of half a core; a core predicts 12 (512 pixels) to 60 (224).
# At least two: while one waits for a slow frame, the other continues with its neighbours.
DECODING_THREADS = max(2, CORES // 2)

log = logging.getLogger("model_code.serving.server")


class PayloadTooLarge(Exception):
    """A request body is longer than the limit."""


class Predictor:
    """The loaded model with its threads: ``answer`` takes the bytes of a request to the bytes of its answer."""

    def __init__(self, model_dir: Path) -> None:
        """Load the script and, on a predicting thread, the model; their exceptions propagate."""
        self.workers = gpu.threads()
        self._decoding = ThreadPoolExecutor(CORES if gpu.is_available() else DECODING_THREADS, "decode")
        # OpenMP's thread count belongs to each calling thread, so every worker sets its own.
        self._predicting = ThreadPoolExecutor(self.workers, "predict", torch.set_num_threads, (1,))
        # At most twice as many bodies as workers are in memory; other requests wait unread, on the sender's side.
        self.concurrency = 2 * self.workers
        self.slots = asyncio.Semaphore(self.concurrency)
        self._script: Script = load_script(model_dir)
        self._model: Any = self._predicting.submit(self._script.model_fn, str(model_dir)).result()

    async def answer(self, body: bytes, content_type: str, accept: str) -> bytes:
        """Return the answer of the script's functions; their exceptions propagate."""
        loop = asyncio.get_running_loop()
        run = contextvars.copy_context().run  # so that what the threads log is about this request
        decoded = await loop.run_in_executor(self._decoding, run, self._script.input_fn, body, content_type)
        return await loop.run_in_executor(self._predicting, run, self._predict, decoded, accept)

    def _predict(self, decoded: Any, accept: str) -> bytes:
        return self._script.output_fn(self._script.predict_fn(decoded, self._model), accept)


def create_app(predictor: Predictor, max_payload_mb: int) -> Starlette:
    """Return the ASGI application. It exists only once the model is loaded, so /ping always answers 200."""
    limit = max_payload_mb * MEBIBYTE

    async def ping(_: Request) -> Response:
        return Response(status_code=200)

    async def execution_parameters(_: Request) -> Response:
        return JSONResponse(
            {
                "MaxConcurrentTransforms": max(1, min(predictor.concurrency, MAX_JOB_PAYLOAD_MB // max_payload_mb)),
                "BatchStrategy": "SINGLE_RECORD",
                "MaxPayloadInMB": max_payload_mb,
            }
        )

    async def invocations(request: Request) -> Response:
        accept = request.headers.get("accept", "")
        with current_request(request.headers) as identity:
            try:
                async with predictor.slots:
                    body = await _read(request, limit)
                    identity.content_is(body)
                    answer = await predictor.answer(body, request.headers.get("content-type", ""), accept)
            except ClientDisconnect:
                log.info("the sender left before its request was read")
                return _error(400, "ClientDisconnected", "The request ended before its body.")
            except PayloadTooLarge:
                message = f"The body is larger than MaxPayloadInMB, {max_payload_mb} MiB."
                return _refused(413, "PayloadTooLarge", message)
            except UnsupportedMediaType as error:
                return _refused(415, "UnsupportedMediaType", str(error))
            except NotAcceptable as error:
                return _refused(406, "NotAcceptable", str(error))
            except Exception as error:
                log.error("a request failed: %s", _without_text(error))
                return _error(500, "InternalError", "The server failed; its log says why.")
        return Response(answer, media_type="application/json")

    return Starlette(
        routes=[
            Route("/ping", ping),
            Route("/execution-parameters", execution_parameters),
            Route("/invocations", invocations, methods=["POST"]),
        ]
    )


def serve(model_dir: Path, binding: Binding) -> None:
    """Load the model, then listen until SIGTERM or SIGINT; requests in flight are finished first."""
    signal.signal(signal.SIGTERM, _leave)
    predictor = Predictor(model_dir)
    config = uvicorn.Config(
        create_app(predictor, binding.max_payload_mb),
        host=binding.host,
        port=binding.port,
        uds=binding.socket,
        http="httptools",
        loop="asyncio",
        log_level="warning",
        access_log=False,
        log_config=None,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    address = binding.socket or f"{binding.host}:{binding.port}"
    log.info("listening on %s with %s workers", address, predictor.workers)
    uvicorn.Server(config).run()


def _leave(_signal: int, _frame: Any) -> None:
    """End with status 0: uvicorn raises the signal again once it has shut down, and a stop is no failure."""
    sys.exit(0)


def _without_text(error: BaseException) -> str:
    """Return the types and locations of an error and its causes, without texts: these may quote the posted object."""
    frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    located = f"{type(error).__name__} at {' > '.join(frames)}"
    earlier = error.__cause__ or error.__context__
    return f"{located}; after {_without_text(earlier)}" if earlier else located


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise PayloadTooLarge
    return bytes(body)


def _refused(status: int, code: str, message: str) -> Response:
    """Log a refusal, which fails a whole transform job; not ``message``, which a script may make of the object."""
    log.warning("a request is refused: HTTP %s %s", status, code)
    return _error(status, code, message)


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"Error": {"Code": code, "Message": message}}, status_code=status)
