"""A recorded request is kept with the template's names, independent of the names of a deployment and a run."""

from __future__ import annotations

import subprocess

import pytest

from assurance.least_privilege.record import OF_STACK, ROOT, STORY, distil, story

LOCAL = "us-east-1:000000000000"
OURS = "<AWS::Region>:<AWS::AccountId>"


@pytest.mark.parametrize(
    ("requested", "kept"),
    [
        (
            f"arn:aws:cloudformation:{LOCAL}:stack/Wetread/*",
            f"arn:<AWS::Partition>:cloudformation:{OURS}:stack/Wetread/…",
        ),
        (f"arn:aws:states:{LOCAL}:stateMachine:wetread-training", "<TrainingWorkflowStateMachine>"),
        (
            f"arn:aws:states:{LOCAL}:execution:wetread-training:train-20261128-180437-b4de04",
            f"arn:<AWS::Partition>:states:{OURS}:execution:<TrainingWorkflowStateMachine>:…",
        ),
        (
            f"arn:aws:logs:{LOCAL}:log-group:/aws/sagemaker/TrainingJobs:log-stream:wetread-train-0123/algo-1",
            f"arn:<AWS::Partition>:logs:{OURS}:log-group:/aws/sagemaker/TrainingJobs:log-stream:wetread-train-…",
        ),
        (
            f"arn:aws:sagemaker:{LOCAL}:transform-job/wetread-0123",
            f"arn:<AWS::Partition>:sagemaker:{OURS}:transform-job/wetread-…",
        ),
        (
            f"arn:aws:sagemaker:{LOCAL}:endpoint/wetread-endpoint",
            f"arn:<AWS::Partition>:sagemaker:{OURS}:endpoint/wetread-endpoint",
        ),
        (f"arn:aws:sqs:{LOCAL}:Wetread-BatchTickDeadLetters7EECEFCB-C5F38DD371D3D.fifo", "<BatchTickDeadLetters>"),
    ],
)
def test_a_request_is_kept_with_the_names_of_the_template(requested: str, kept: str) -> None:
    request = {
        "principal_keys": {OF_STACK: "PeopleReaderRole"},
        "action": "any:Action",
        "resource_arn": requested,
        "service_context": {},
    }
    assert distil(request) == ["PeopleReaderRole", "any:Action", kept, {}]


@pytest.mark.parametrize(
    ("action", "key"),
    [
        ("kms:GenerateMac", "<IntakePatientKey>"),
        ("kms:DescribeKey", "<StorageKey>"),
        ("kms:GetKeyPolicy", "<StorageKey>"),
    ],
)
def test_a_request_to_kms_is_kept_with_the_key_that_it_is_about(action: str, key: str) -> None:
    request = {
        "principal_keys": {OF_STACK: "PeopleExaminerRole"},
        "action": action,
        "resource_arn": f"arn:aws:kms:{LOCAL}:key/0a1b2c3d",
        "service_context": {},
    }
    assert distil(request) == ["PeopleExaminerRole", action, key, {}]


def test_the_story_has_the_end_to_end_tests_that_pytest_leaves_out_by_default() -> None:
    listed = subprocess.run(
        [*story(), "--collect-only", "-n0"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert all(one in listed for one in STORY)
