"""The express lane in the template: nothing of it by default; where a stage asks, a function that can do little."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from infra.config import ConfigError, load_stage
from tests.infra.conftest import EXPRESS, Assembly

ROOT = Path(__file__).parents[2]


def test_a_stage_that_does_not_ask_has_no_such_function(default: Any) -> None:
    assert not [one for one in default.of_type("AWS::Lambda::Function").values() if one.get("PackageType") == "Image"]
    assert default.environment("BatchDispatch")["EXPRESS_FUNCTION"] == ""
    invoked = {
        resource
        for role in ("BatchDispatch", "BatchCollect", "BatchSweep")
        for action, resource in default.permissions(role)
        if action == "lambda:InvokeFunction"
    }
    assert invoked == {"<BatchSweep>"}  # itself, to close many studies


def test_a_stage_without_the_lane_still_ends_the_batches_that_were_in_it(default: Any) -> None:
    """They are there when a person turns the lane off while a batch is in it."""
    for role in ("BatchDispatch", "BatchCollect", "BatchSweep"):
        records = {action for action, resource in default.permissions(role) if resource == "<StorageWork>/express/*"}
        assert records == {"s3:GetObject", "s3:PutObject"}


def test_the_function_is_the_container_s_image_with_another_command(asked: Assembly) -> None:
    function = asked.named("AWS::Lambda::Function", "BatchLaneExpress")
    assert function["Code"]["ImageUri"] == asked.template["Outputs"]["ImageUri"]["Value"]
    assert function["ImageConfig"]["EntryPoint"] == ["python", "-m", "awslambdaric"]
    assert function["ImageConfig"]["Command"] == ["express.handler.handler"]
    assert (function["Timeout"], function["MemorySize"], function["Architectures"]) == (900, 3008, ["x86_64"])


def test_people_are_shown_how_many_runs_a_day_has(asked: Assembly, default: Assembly) -> None:
    assert asked.template["Outputs"]["ExpressPerDay"]["Value"] == asked.environment("BatchDispatch")["EXPRESS_PER_DAY"]
    assert "ExpressPerDay" not in default.template["Outputs"]


def test_lambda_repeats_nothing_and_reports_what_failed(asked: Assembly) -> None:
    once = asked.named("AWS::Lambda::EventInvokeConfig", "BatchLaneOnce")
    assert (once["MaximumRetryAttempts"], once["MaximumEventAgeInSeconds"]) == (0, 300)
    assert "JobEvents" in json.dumps(once["DestinationConfig"]["OnFailure"])


def test_its_role_reads_copies_manifests_and_artifacts_and_writes_outputs_and_records(asked: Assembly) -> None:
    policies = {name: one for name, one in asked.of_type("AWS::IAM::Policy").items() if "LaneExpressRole" in name}
    (policy,) = policies.values()
    allowed = {
        (action, json.dumps(resource).rpartition("/")[0].rpartition("/")[2] + "/" if "s3:" in action else "")
        for statement in policy["PolicyDocument"]["Statement"]
        for action in _list(statement["Action"])
        for resource in _list(statement["Resource"])
    }
    assert {one for one in allowed if one[0].startswith("s3:")} == {
        ("s3:GetObject", "instances/"),
        ("s3:GetObject", "batches/"),
        ("s3:GetObject", "artifacts/"),
        ("s3:GetObject", "express/"),
        ("s3:PutObject", "outputs/"),
        ("s3:PutObject", "express/"),
    }
    assert {action for action, _ in allowed if not action.startswith("s3:")} == {
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sqs:SendMessage",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }


def test_dispatch_and_sweep_know_the_function_and_may_invoke_no_other(asked: Assembly) -> None:
    for function in ("BatchDispatch", "BatchSweep"):
        environment = asked.environment(function)
        assert (environment["EXPRESS"], environment["EXPRESS_CONCURRENCY"]) == ("True", "3")
        script = ROOT / "model_code/script/inference.py"
        assert environment["EXPRESS_SCRIPT_SHA256"] == hashlib.sha256(script.read_bytes()).hexdigest()
        (policy,) = [one for name, one in asked.of_type("AWS::IAM::Policy").items() if f"{function}Role" in name]
        invoking = [one for one in policy["PolicyDocument"]["Statement"] if "lambda:InvokeFunction" in str(one)]
        assert [one["Resource"] for one in invoking] == [{"Fn::GetAtt": [_name(asked), "Arn"]}]


def test_cfn_lint_finds_nothing(asked: Assembly) -> None:
    assert not asked.lint()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tick_delay_seconds": 25}, "tick_delay_seconds is 25"),
        ({"slots": 100}, "express_concurrency 3"),
        ({"max_batch": 600}, "express_max is 600"),
    ],
)
def test_settings_that_contradict_the_lane_are_refused(changes: dict[str, int], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load_stage({"asked": EXPRESS | changes}, "asked")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _name(asked: Assembly) -> str:
    resources = asked.template["Resources"]
    (name,) = [key for key, one in resources.items() if one.get("Properties", {}).get("PackageType") == "Image"]
    return str(name)
