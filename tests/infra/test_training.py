from __future__ import annotations

import json
from typing import Any


def test_every_approval_of_the_services_own_versions_reaches_the_queue_or_its_dead_letters(default: Any) -> None:
    rule = default.named("AWS::Events::Rule", "TrainingApproved")
    (group,) = default.of_type("AWS::SageMaker::ModelPackageGroup").values()
    assert rule["EventPattern"] == {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {
            "ModelPackageGroupName": [group["ModelPackageGroupName"]],
            "ModelApprovalStatus": ["Approved"],
        },
    }
    (target,) = rule["Targets"]
    assert "TrainingApprovalsQueue" in target["Arn"]["Fn::GetAtt"][0]
    assert "TrainingApprovalsDeadLetters" in target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]


def test_the_functions_have_the_time_and_room_that_they_need(default: Any) -> None:
    functions = default.of_type("AWS::Lambda::Function")
    snapshot, promote = functions["TrainingSnapshot"], functions["TrainingPromote"]
    assert (snapshot["Timeout"], snapshot["MemorySize"]) == (900, 2048)
    assert promote["EphemeralStorage"] == {"Size": 4096}
    assert "EphemeralStorage" not in snapshot


def test_versions_are_evaluated_and_served_by_one_image_and_role(default: Any) -> None:
    promote, approve = (default.environment(f"Training{name}") for name in ("Promote", "Approve"))
    shared = ("IMAGE_URI", "JOB_ROLE_ARN", "MODEL_PACKAGE_GROUP", "MODELS_BUCKET", "BATCHES_TABLE", "TICK_QUEUE_URL")
    assert {name: promote[name] for name in shared} == {name: approve[name] for name in shared}
    assert promote["JOB_ROLE_ARN"] == "<ModelJobRole>"


def test_the_snapshot_admits_what_ingest_admits(default: Any) -> None:
    ingest, snapshot = default.environment("IntakeIngest"), default.environment("TrainingSnapshot")
    admitted = (
        "SOP_CLASS_UIDS",
        "MODALITIES",
        "TRANSFER_SYNTAX_UIDS",
        "MAX_OBJECT_BYTES",
        "CONFORMANCE",
        "PATIENT_KEY_ID",
    )
    assert {name: snapshot[name] for name in admitted} == {name: ingest[name] for name in admitted}


def test_jobs_train_and_evaluate_with_the_image_that_serves(default: Any, definition: Any) -> None:
    served = default.environment("TrainingPromote")["IMAGE_URI"]
    states = definition["States"]
    images = {
        states["Train"]["Arguments"]["AlgorithmSpecification"]["TrainingImage"],
        *(states[name]["Arguments"]["AppSpecification"]["ImageUri"] for name in ("Audit", "Optimise", "Evaluate")),
    }
    assert images == {served}
    assert json.dumps(definition).count(served) == 4
