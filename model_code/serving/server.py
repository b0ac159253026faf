"""The HTTP side of ``serve``: /ping, /execution-parameters and /invocations, in a process without the model.

`model_code.serving.supervisor` passes each request to another process and outlives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from model_code import stopping
from model_code.container import MAX_JOB_PAYLOAD_MB, MEBIBYTE, Binding
from model_code.serving.request_log import INFERENCE_ID, current_request, log_refusal
from model_code.serving.supervisor import Request as Posted
from model_code.serving.supervisor import Supervisor

SHUTDOWN_SECONDS = 20
# A client that sends on a connection just when it is closed gets an error. Clients keep an idle one for a shorter time.
KEEP_ALIVE_SECONDS = 75

log = logging.getLogger("model_code.serving.server")


class PayloadTooLarge(Exception):
    """A request body is longer than the limit."""


def create_app(supervisor: Supervisor, max_payload_mb: int) -> Starlette:
    """Return the ASGI application. It exists only once the model is loaded, so /ping always answers 200.

    While the model's process is restarted, requests wait for some seconds and are then answered.
    """
    limit = max_payload_mb * MEBIBYTE

    async def ping(_: Request) -> Response:
        return Response(status_code=200)

    async def execution_parameters(_: Request) -> Response:
        return JSONResponse(
            {
                "MaxConcurrentTransforms": max(1, min(supervisor.concurrency, MAX_JOB_PAYLOAD_MB // max_payload_mb)),
                "BatchStrategy": "SINGLE_RECORD",
                "MaxPayloadInMB": max_payload_mb,
            }
        )

    async def invocations(request: Request) -> Response:
        headers = request.headers
        inference_id = headers.get(INFERENCE_ID, "")
        with current_request(inference_id) as identity:
            try:
                async with supervisor.slots:
                    body = await _read(request, limit)
                    identity.content_is(body)
                    posted = Posted(headers.get("content-type", ""), headers.get("accept", ""), body, inference_id)
                    reply = await supervisor.answer(posted)
            except ClientDisconnect:
                log.info("the sender left before its request was read")
                return _error(400, "ClientDisconnected", "The request ended before its body.")
            except PayloadTooLarge:
                log_refusal(413, "PayloadTooLarge")
                return _error(413, "PayloadTooLarge", f"The body is larger than MaxPayloadInMB, {max_payload_mb} MiB.")
        return Response(reply.body, status_code=reply.status, media_type="application/json")

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
    stopping.finish_in_peace()
    asyncio.run(_serve(model_dir, binding))


async def _serve(model_dir: Path, binding: Binding) -> None:
    supervisor = Supervisor([sys.executable, "-m", "model_code", "answer"], model_dir, binding.answer_seconds)
    await supervisor.start()
    config = uvicorn.Config(
        create_app(supervisor, binding.max_payload_mb),
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
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    address = binding.socket or f"{binding.host}:{binding.port}"
    log.info("listening on %s with %s workers", address, supervisor.workers)
    serving = asyncio.create_task(_listen(uvicorn.Server(config)))
    running = asyncio.create_task(supervisor.keep_running())
    try:
        ended, _ = await asyncio.wait({serving, running}, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        running.cancel()
        await supervisor.stop()


async def _listen(server: uvicorn.Server) -> None:
    """Answer over HTTP until a signal; uvicorn raises it again once it has shut down."""
    with contextlib.suppress(SystemExit):
        await server.serve()


def _leave(_signal: int, _frame: Any) -> None:
    """End with status 0: a stop is no failure."""
    sys.exit(0)


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise PayloadTooLarge
    return bytes(body)


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"Error": {"Code": code, "Message": message}}, status_code=status)
