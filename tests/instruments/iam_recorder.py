"""Write down what IAM is asked about roles, so that a test can find the statements that no role needs.

The environment variable WETREAD_IAM_RECORD names the file.
"""

from __future__ import annotations

import contextvars
import dataclasses
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localcloud.patches.patching import replace

VARIABLE = "WETREAD_IAM_RECORD"
_BY_RESOURCE = ("doc", "ctx", "service", "named_only", "direct_only")
_of_resource: contextvars.ContextVar[bool] = contextvars.ContextVar("a resource's policy is evaluated", default=False)


def install() -> None:
    """Begin to record, in a launcher that loads this module as an extension."""
    record(Path(os.environ[VARIABLE]))


def record(path: Path) -> None:
    """From now on, append each query with the ``decision`` of the role's policy: one JSON line for each pair, once.

    A query is the evaluator's whole context. Evaluations of the policies of buckets, queues and keys are left out.
    """
    recorder = _Recorder(path)
    replace("core.iam_evaluator", "evaluate", ("ctx", "policies", "limits"), recorder.wrap)
    replace("core.iam_evaluator", "evaluate_resource_policy", _BY_RESOURCE, _marked)


def _marked(original: Callable[..., Any]) -> Callable[..., Any]:
    def evaluate_resource_policy(*arguments: Any, **named: Any) -> Any:
        token = _of_resource.set(True)
        try:
            return original(*arguments, **named)
        finally:
            _of_resource.reset(token)

    return evaluate_resource_policy


class _Recorder:
    def __init__(self, path: Path):
        self._path = path
        self._lock = threading.Lock()
        self._known: set[str] = set()

    def wrap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def evaluate(ctx: Any, policies: Any, *limits: Any) -> Any:
            answer = original(ctx, policies, *limits)
            if ctx.principal_type == "AssumedRole" and not _of_resource.get():
                query = dataclasses.asdict(ctx) | {"decision": str(answer.decision)}
                self._add(json.dumps(query, sort_keys=True, default=str))
            return answer

        return evaluate

    def _add(self, line: str) -> None:
        with self._lock:
            if line not in self._known:
                self._known.add(line)
                with self._path.open("a") as file:
                    file.write(line + "\n")
