"""Writes down what IAM is asked about roles, so that a test can tell which statement of which role nobody needs."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wetread.local.mends.seam import replace


def record(path: Path) -> None:
    """From now on, append each question once to ``path``, a JSON line each: the evaluator's whole context."""
    recorder = _Recorder(path)
    replace("core.iam_evaluator", "evaluate", ("ctx", "policies", "limits"), recorder.listen)


class _Recorder:
    def __init__(self, path: Path):
        self._path = path
        self._lock = threading.Lock()
        self._known: set[str] = set()

    def listen(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def evaluate(ctx: Any, policies: Any, *limits: Any) -> Any:
            if ctx.principal_type == "AssumedRole":
                self._add(json.dumps(dataclasses.asdict(ctx), sort_keys=True, default=str))
            return original(ctx, policies, *limits)

        return evaluate

    def _add(self, line: str) -> None:
        with self._lock:
            if line not in self._known:
                self._known.add(line)
                with self._path.open("a") as file:
                    file.write(line + "\n")
