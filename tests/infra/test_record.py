"""What a recorded question becomes: the same words as the template's, whatever a deployment and a run are called."""

from __future__ import annotations

import pytest

from assurance.least_privilege.record import OF_STACK, distil

LOCAL = "us-east-1:000000000000"
OURS = "<AWS::Region>:<AWS::AccountId>"


@pytest.mark.parametrize(
    ("asked", "kept"),
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
def test_a_question_is_kept_in_the_words_of_the_template(asked: str, kept: str) -> None:
    question = {
        "principal_keys": {OF_STACK: "PeopleReaderRole"},
        "action": "any:Action",
        "resource_arn": asked,
        "service_context": {},
    }
    assert distil(question) == ["PeopleReaderRole", "any:Action", kept, {}]
