from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from wetread.local import questions
from wetread.local.mends.seam import emulator


@pytest.fixture
def evaluator(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded: ModuleType = emulator("core.iam_evaluator")
    monkeypatch.setattr(loaded, "evaluate", loaded.evaluate)  # what is put in its place is taken out after the test
    return loaded


def test_each_question_about_a_role_is_written_down_once_and_answered_as_before(evaluator: Any, tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    before: Callable[..., Any] = evaluator.evaluate
    questions.record(record)
    policy = [evaluator.parse_policy_document({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})]

    def ask(kind: str, action: str) -> Any:
        context = evaluator.EvalContext(
            principal_arn="a",
            principal_type=kind,
            principal_account="0",
            action=action,
            resource_arn="b",
            region="r",
            service_context={"s3:prefix": "runs/"},
        )
        assert evaluator.evaluate(context, policy) == before(context, policy)

    for action in ("s3:ListBucket", "s3:ListBucket", "s3:GetObject"):
        ask("AssumedRole", action)
    ask("User", "s3:PutObject")
    written = [json.loads(line) for line in record.read_text().splitlines()]
    assert [one["action"] for one in written] == ["s3:ListBucket", "s3:GetObject"]
    assert {one["service_context"]["s3:prefix"] for one in written} == {"runs/"}
