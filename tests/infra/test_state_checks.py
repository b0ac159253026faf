"""What a release check asks Step Functions is what AWS's own model of it takes, and says what the template says."""

from __future__ import annotations

import json
from pathlib import Path

import botocore.session
import pytest
from botocore.validate import ParamValidator

from infra.state_checks import requests_of, write
from tests.infra import asl
from tests.infra.conftest import Assembly


@pytest.fixture
def files(default: Assembly, tmp_path: Path) -> dict[str, dict]:
    return {path.name: json.loads(path.read_text()) for path in write(tmp_path, default.template)}


def test_the_definition_has_every_state_and_no_reference_of_cloudformation(files, definition) -> None:
    assert files["asl.json"]["States"].keys() == definition["States"].keys()
    text = json.dumps(files["asl.json"])
    assert not any(word in text for word in ("Fn::", '"Ref"', "${AWS", "${Token"))
    assert "arn:aws:iam::111122223333:role/" in files["asl.json"]["States"]["Train"]["Arguments"]["RoleArn"]


@pytest.mark.parametrize("name", ["Train.json", "TryAgain.json", "NotifyFailed.json"])
def test_each_request_is_one_that_step_functions_takes(files, name: str) -> None:
    operation = botocore.session.get_session().get_service_model("stepfunctions").operation_model("TestState")
    report = ParamValidator().validate(files[name], operation.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert set(files) == {"asl.json", *requests_of(files["asl.json"])}


@pytest.mark.parametrize("name", ["Train", "NotifyFailed"])
def test_the_variables_of_a_request_are_all_that_its_state_reads(files, name: str) -> None:
    request = files[f"{name}.json"]
    state = files["asl.json"]["States"][name]
    result = json.loads(request["mock"]["result"])
    context = {"Execution": {"Name": "n", "Input": {}}, "State": {"RetryCount": 0}}
    scope = json.loads(request["variables"]) | {"states": {"input": {}, "context": context, "result": result}}
    assert asl.render(state["Arguments"], scope)
    assert asl.render(state.get("Assign", {}), scope) is not None


def test_a_failure_without_room_waits_for_room(files) -> None:
    request = files["TryAgain.json"]
    scope = json.loads(request["variables"]) | {"states": {"input": {}}}
    first = files["asl.json"]["States"]["TryAgain?"]["Choices"][0]
    assert first["Next"] == "AwaitRoom"
    assert asl.render(first["Condition"], scope) is True
