"""A labelled slice or a manifest that S3 refuses is a named reason, not a failed run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.wire import client_error
from tests.fakes.workflow import Workflow
from tests.functions.flow.test_failed_ingests import of_the_model


def refusing(workflow: Workflow, operation: str, code: str, applies: Callable[[str], bool]) -> None:
    """Let S3 refuse an operation on the keys that ``applies`` selects."""
    original = getattr(workflow.world.s3, operation)

    def refuse(**request: Any) -> Any:
        source = request.get("CopySource", request)
        if applies(source["Key"]):
            raise client_error(code, f"of {source['Key']}")
        return original(**request)

    setattr(workflow.world.s3, operation, refuse)


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        *((operation, code) for operation, code in of_the_model() if operation != "head_object"),
        *(("get_object", code) for code in ("InvalidRequest", "ErrorOfTheYear2031")),
        *(("copy_object", code) for code in ("InvalidObjectState", "InvalidRequest", "ErrorOfTheYear2031")),
    ],
)
def test_the_line_of_a_slice_that_s3_refuses_is_named(operation: str, code: str) -> None:
    workflow = Workflow()
    uri = workflow.put_cohort()
    refusing(workflow, operation, code, lambda key: key.endswith("normal-0-0.dcm"))
    taken = workflow.take(uri)
    assert not taken["Taken"]
    (reason,) = taken["Reasons"]
    assert "1: " in reason["Message"], "the line or entry of the manifest"
    assert "normal-0" not in reason["Message"]


@pytest.mark.parametrize("code", ["InvalidObjectState", "InvalidRequest"])
def test_a_manifest_that_s3_refuses_is_a_reason(code: str) -> None:
    workflow = Workflow()
    uri = workflow.put_cohort()
    refusing(workflow, "get_object", code, lambda key: key.endswith("manifest.json"))
    taken = workflow.take(uri)
    assert not taken["Taken"]
    assert "manifest" in taken["Reasons"][0]["Message"]


@pytest.mark.parametrize("code", ["SlowDown", "AccessDenied", "InternalError"])
def test_aws_trouble_fails_the_state_which_is_retried(code: str) -> None:
    workflow = Workflow()
    uri = workflow.put_cohort()
    refusing(workflow, "get_object", code, lambda key: key.endswith("normal-0-0.dcm"))
    with pytest.raises(Exception, match=code):
        workflow.take(uri)


def test_a_manifest_without_an_end_is_a_reason_and_is_not_read_to_it() -> None:
    workflow = Workflow()
    uri = workflow.put_cohort()
    original = workflow.world.s3.get_object
    read: list[int | None] = []

    class Endless:
        def read(self, length: int | None = None) -> bytes:
            read.append(length)
            return bytes(length or 2**32)

    def get(**request: Any) -> Any:
        answer = original(**request)
        return answer | {"Body": Endless()} if request["Key"].endswith("manifest.json") else answer

    workflow.world.s3.get_object = get  # type: ignore[method-assign]
    taken = workflow.take(uri)
    assert not taken["Taken"]
    assert "more than 33,554,432 bytes" in taken["Reasons"][0]["Message"]
    assert None not in read
