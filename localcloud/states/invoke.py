"""The task `lambda:invoke`: a document goes in, a document comes out, a function's error is the task's by its name."""

from __future__ import annotations

import json

from localcloud.states.calls import Document, Service, as_text, failure
from localcloud.states.execution import Execution


def invoke(execution: Execution, arguments: Document, endpoint: str) -> Document:
    """Invoke the function with the Payload and answer `{"StatusCode", "ExecutedVersion", "Payload"}`."""
    payload = as_text(arguments.get("Payload", {})).encode()
    with Service("lambda", execution, endpoint) as functions:
        answer = functions.call("invoke", {**arguments, "Payload": payload})
        body = answer.pop("Payload").read()
    document = json.loads(body) if body else None
    if answer.pop("FunctionError", None):
        kind = document.get("errorType") if isinstance(document, dict) else None
        raise failure(kind or "Lambda.Unknown", as_text(document))
    return {**answer, "Payload": document}
