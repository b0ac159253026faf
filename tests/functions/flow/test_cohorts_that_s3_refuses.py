"""A labelled slice or a manifest that S3 refuses is a named reason, not a failed run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from functions.aws.cohorts import Cohorts
from functions.aws.trouble import is_trouble
from tests.fakes.aws_errors import every_error
from tests.fakes.dicom import ct
from tests.fakes.wire import client_error
from tests.fakes.workflow import TRAINING, Workflow, entry

OPERATIONS = ("get_object", "copy_object")
OWN_KEY = "arn:aws:kms:eu-west-1:111111111111:key/11111111-own"
OTHER_KEY = "arn:aws:kms:eu-west-1:222222222222:key/22222222-other"


def refusing(workflow: Workflow, operation: str, error: str | Exception, applies: Callable[[str], bool]) -> None:
    """Let S3 refuse an operation on the keys that ``applies`` selects, with an error or its code."""
    original = getattr(workflow.world.s3, operation)

    def refuse(**request: Any) -> Any:
        source = request.get("CopySource", request)
        if applies(source["Key"]):
            raise client_error(error, f"of {source['Key']}") if isinstance(error, str) else error
        return original(**request)

    setattr(workflow.world.s3, operation, refuse)


@pytest.mark.parametrize(
    ("operation", "name"), [(operation, name) for operation in OPERATIONS for name in every_error(operation)]
)
def test_the_line_of_a_slice_that_s3_refuses_is_named_and_trouble_of_aws_is_tried_again(
    operation: str, name: str
) -> None:
    error = every_error(operation)[name]
    workflow = Workflow()
    uri = workflow.put_cohort(patients_per_class=1, slices_per_patient=1)
    refusing(workflow, operation, error, lambda key: key.endswith("normal-0-0.dcm"))
    if is_trouble(error):
        with pytest.raises(ClientError):
            workflow.take(uri)
        return
    taken = workflow.take(uri)
    assert not taken["Taken"]
    (reason,) = taken["Reasons"]
    assert reason["Code"] == "UnreadableHeader"
    assert reason["Message"].startswith("Entry 1: ")
    assert reason["Message"].endswith(".")
    assert "normal-0" not in reason["Message"]
    assert "DOE" not in reason["Message"]


@pytest.mark.parametrize("error", [LookupError("of P-normal-0"), ParamValidationError(report="of P-normal-0")])
def test_the_line_of_a_slice_that_fails_in_a_way_that_nobody_thought_of_is_named(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = Workflow()
    uri = workflow.put_cohort()
    refusing(workflow, "get_object", error, lambda key: key.endswith("normal-0-0.dcm"))
    (reason,) = workflow.take(uri)["Reasons"]
    assert reason["Message"].startswith("Entry 1: ")
    assert type(error).__name__ in reason["Message"]
    assert "P-normal-0" not in reason["Message"] + str([vars(record) for record in caplog.records])


def test_the_line_of_a_slice_under_a_key_that_is_not_the_stages_is_named() -> None:
    workflow = Workflow()
    uri = workflow.put_cohort()
    cohorts = Cohorts(workflow.world.clients["s3"], TRAINING, OWN_KEY)
    workflow.snapshotting = replace(workflow.snapshotting, cohorts=cohorts)
    denied = client_error("AccessDenied", f"not authorized to perform: kms:Decrypt on resource: {OTHER_KEY} because")
    refusing(workflow, "get_object", denied, lambda key: key.endswith("normal-0-0.dcm"))
    (reason,) = workflow.take(uri)["Reasons"]
    assert "Entry 1: The object is encrypted with a KMS key that the service may not use" in reason["Message"]


def test_of_files_with_one_name_one_that_s3_refuses_leaves_the_others() -> None:
    """Their headers decide which is meant; a refused one is none of those."""
    workflow = Workflow()
    workflow.put_cohort()
    entries = json.loads(workflow.world.s3.objects[TRAINING, "cohorts/c/manifest.json"])
    for number in (1, 2):
        workflow.put(f"f{number}/IM1.dcm", ct(StudyInstanceUID=f"1.7.{number}", SOPInstanceUID=f"1.7.{number}.1"))
    uri = workflow.put_manifest([*entries, entry("IM1.dcm", "cap", studyId="1.7.1")])
    refusing(workflow, "get_object", "InvalidObjectState", lambda key: key.endswith("f2/IM1.dcm"))
    taken = workflow.take(uri)
    assert taken["Taken"], taken["Reasons"]


@pytest.mark.parametrize("code", ["InvalidObjectState", "InvalidRequest", "ErrorOfTheYear2031"])
def test_a_manifest_that_s3_refuses_is_a_reason(code: str) -> None:
    workflow = Workflow()
    uri = workflow.put_cohort()
    refusing(workflow, "get_object", code, lambda key: key.endswith("manifest.json"))
    taken = workflow.take(uri)
    assert not taken["Taken"]
    assert taken["Reasons"][0]["Message"].startswith("The manifest cannot be read: ")


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
