"""API destinations of EventBridge: CloudFormation makes them, failed posts are tried again, and end as dead letters.

The emulator's CloudFormation knows neither connections nor API destinations, and each event is posted once. AWS tries
again after 401, 407, 409, 429, 5xx and no answer, up to the target's RetryPolicy (185 times in 24 hours), and keeps
what it gives up, or what is refused for good, in the target's DeadLetterConfig (EventBridge User Guide, "API
destinations" and "Retry policy and dead-letter queues"). Pauses are short here: from a second, doubled, up to a minute.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from localcloud.patches.patching import emulator, replace

_log = logging.getLogger(__name__)
_AGAIN = frozenset({401, 407, 409, 429})
_MOST_TRIES = 185
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_Handler = Callable[..., Any]


def install() -> None:
    """Add the handlers of both resources, and replace the delivery."""
    handlers = emulator("services.cloudformation.provisioners", "_RESOURCE_HANDLERS", "_physical_name")
    for kind in ("Connection", "ApiDestination"):
        handlers._RESOURCE_HANDLERS[f"AWS::Events::{kind}"] = _handlers(kind)
    emulator("services.eventbridge", "_api_destination_send_sync", "_connection_auth_headers", "_dispatch_to_sqs")
    target_of = threading.local()
    module = "services.eventbridge"
    replace(module, "_dispatch_to_api_destination", ("spec", "payload", "target"), _remembering(target_of))
    names = ("dest", "conn", "target_http_params", "payload")
    replace(module, "_build_api_destination_request", names, _with_target(target_of))
    replace(module, "_deliver_to_api_destination", ("name", "request", "conn", "token_key"), _with_retries)


def _handlers(kind: str) -> dict[str, Any]:
    """Return CloudFormation's handlers of a kind of resource, made of EventBridge's own requests."""
    events = emulator("services.eventbridge")
    verb = "connection" if kind == "Connection" else "api_destination"

    def ask(action: str, name: str, properties: dict[str, Any]) -> tuple[str, dict[str, str]]:
        status, _headers, body = getattr(events, f"_{action}_{verb}")({**properties, "Name": name})
        answer = json.loads(body)
        if status != 200:
            raise ValueError(f"AWS::Events::{kind}: {answer.get('message') or answer}")
        arn = answer.get(f"{kind}Arn", "")
        return name, {"Arn": arn, "ArnForPolicy": arn}

    def create(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        named = emulator("services.cloudformation.provisioners")._physical_name
        return ask("create", properties.get("Name") or named(stack_name, logical_id, max_len=64), properties)

    def update(name: str, _old: dict[str, Any], properties: dict[str, Any], _stack_name: str) -> Any:
        return ask("update", name, properties)

    def delete(name: str, _properties: dict[str, Any]) -> None:
        getattr(events, f"_delete_{verb}")({"Name": name})  # one that is gone is deleted

    return {"create": create, "update": update, "delete": delete}


def _remembering(target_of: threading.local) -> Callable[[_Handler], _Handler]:
    def build(original: _Handler) -> _Handler:
        def dispatch(spec: Any, payload: str, target: dict[str, Any]) -> None:
            target_of.value = target
            original(spec, payload, target)

        return dispatch

    return build


def _with_target(target_of: threading.local) -> Callable[[_Handler], _Handler]:
    def build(original: _Handler) -> _Handler:
        def request_of(dest: Any, conn: Any, target_http_params: Any, payload: str) -> dict[str, Any]:
            request: dict[str, Any] = original(dest, conn, target_http_params, payload)
            return {**request, "target": target_of.value, "payload": payload}

        return request_of

    return build


def _with_retries(_original: _Handler) -> _Handler:
    events = emulator("services.eventbridge")

    def deliver(name: str, request: dict[str, Any], conn: dict[str, Any], token_key: Any) -> None:
        policy = request["target"].get("RetryPolicy") or {}
        for retry in range(policy.get("MaximumRetryAttempts", _MOST_TRIES) + 1):
            if retry:
                time.sleep(min(_PAUSE * 2 ** (retry - 1), _LONGEST_PAUSE))
            status = _post(request, conn, token_key)
            if 200 <= status < 300:
                return
            _log.warning("API destination %s answered %s to try %d", name, status or "nothing", retry + 1)
            if status and status not in _AGAIN and status < 500:
                break
        queue = (request["target"].get("DeadLetterConfig") or {}).get("Arn")
        if queue:
            events._dispatch_to_sqs(events.parse_arn(queue), request["payload"])

    def _post(request: dict[str, Any], conn: dict[str, Any], token_key: Any) -> int:
        """Return the status of one try; 0 without an answer."""
        try:
            return int(events._api_destination_send_sync(request, events._connection_auth_headers(conn, token_key)))
        except OSError:
            return 0

    return deliver
