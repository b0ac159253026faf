"""Writes down what IAM is asked about roles, so that a test can tell which statement of which role nobody needs."""

from __future__ import annotations

import contextvars
import dataclasses
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localcloud.patches.seam import replace

_BY_RESOURCE = ("doc", "ctx", "service", "named_only", "direct_only")
_of_resource: contextvars.ContextVar[bool] = contextvars.ContextVar("a resource's own policy is asked", default=False)


def record(path: Path) -> None:
    """From now on, append each question with the ``decision`` of the role's policy, a JSON line for both once.

    A question is the evaluator's whole context. What the policies of buckets, queues and keys are asked is left out.
    """
    recorder = _Recorder(path)
    replace("core.iam_evaluator", "evaluate", ("ctx", "policies", "limits"), recorder.listen)
    replace("core.iam_evaluator", "evaluate_resource_policy", _BY_RESOURCE, _told_apart)


def _told_apart(original: Callable[..., Any]) -> Callable[..., Any]:
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

    def listen(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def evaluate(ctx: Any, policies: Any, *limits: Any) -> Any:
            answer = original(ctx, policies, *limits)
            if ctx.principal_type == "AssumedRole" and not _of_resource.get():
                question = dataclasses.asdict(ctx) | {"decision": str(answer.decision)}
                self._add(json.dumps(question, sort_keys=True, default=str))
            return answer

        return evaluate

    def _add(self, line: str) -> None:
        with self._lock:
            if line not in self._known:
                self._known.add(line)
                with self._path.open("a") as file:
                    file.write(line + "\n")
