"""Puts our execution environments in the place of the emulator's Lambda worker.

The emulator's own worker reports every exception as Runtime.HandlerError, hands the host's environment variables to the
function, and keeps every process that a burst has started.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from localcloud.lambdas import asynchronous
from localcloud.lambdas.environment import Result
from localcloud.lambdas.function import FunctionVersion
from localcloud.lambdas.pool import Pool, TooManyInvocations
from localcloud.patches.patching import emulator, replace

_LOG_PARAMETERS = ("func", "request_id", "log_text", "error", "duration_ms", "log_source")


def install(pool: Pool) -> None:
    """Run every function in `pool`; its environments write their own logs."""
    emulator("services.lambda_svc", "_throttle_response")
    replace("services.lambda_svc", "_execute_function_warm", ("func", "event", "request_id"), _in_pool(pool))
    replace("services.lambda_svc", "_execute_function_docker", ("func", "event", "request_id"), _in_pool(pool))
    replace("services.lambda_svc", "_emit_lambda_logs", _LOG_PARAMETERS, lambda _original: _no_second_log)
    asynchronous.install()


def _no_second_log(*_arguments: Any, **_options: Any) -> None:
    """The environment has written this invocation's log already."""


def _in_pool(pool: Pool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    functions = emulator("services.lambda_svc")

    def execute(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        configuration = func.get("config") or func
        is_image = configuration.get("PackageType") == "Image"
        if not is_image and not configuration["Runtime"].startswith("python"):
            return _refused(
                "Runtime.Unsupported", f"This local cloud runs Python only, not {configuration['Runtime']}."
            )
        if not is_image and not func.get("code_zip"):
            return _refused("Runtime.NoCode", f"Function {configuration['FunctionName']} has no code; deploy it again.")
        try:
            result = pool.invoke(FunctionVersion.of(func), asynchronous.tried(request_id), json.dumps(event).encode())
        except TooManyInvocations as error:
            throttled: dict[str, Any] = functions._throttle_response("ConcurrentInvocationLimitExceeded", str(error))
            return throttled
        return _answer(result)

    return lambda _original: execute


def _answer(result: Result) -> dict[str, Any]:
    body = json.loads(result.outcome.body) if result.outcome.body else None
    answer = {"body": body, "log": result.log}
    return {**answer, "error": True, "function_error": "Unhandled"} if result.outcome.failed else answer


def _refused(kind: str, message: str) -> dict[str, Any]:
    body = {"errorType": kind, "errorMessage": message}
    return {"body": body, "error": True, "function_error": "Unhandled", "log": message}
