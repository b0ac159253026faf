from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from localcloud.patches.patching import emulator
from tests.instruments import iam_recorder


@pytest.fixture
def evaluator(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded: ModuleType = emulator("core.iam_evaluator")
    for name in ("evaluate", "evaluate_resource_policy"):  # what is put in their places is taken out after the test
        monkeypatch.setattr(loaded, name, getattr(loaded, name))
    return loaded


def test_each_query_about_a_role_is_written_down_once_and_answered_as_before(evaluator: Any, tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    before: Callable[..., Any] = evaluator.evaluate
    iam_recorder.record(record)
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


def test_what_the_roles_own_policy_answers_is_written_down_and_no_resources_policy(
    evaluator: Any, tmp_path: Path
) -> None:
    record = tmp_path / "record.jsonl"
    iam_recorder.record(record)
    context = evaluator.EvalContext(
        principal_arn="a",
        principal_type="AssumedRole",
        principal_account="0",
        action="s3:GetObject",
        resource_arn="b",
        region="r",
    )
    allowed = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}}
    assert evaluator.evaluate_resource_policy(allowed, context).decision == "Allow"
    assert not record.exists()
    evaluator.evaluate(context, [])
    assert [json.loads(line)["decision"] for line in record.read_text().splitlines()] == ["ImplicitDeny"]
