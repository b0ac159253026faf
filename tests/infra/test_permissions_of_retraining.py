"""Least privilege, in sentences: what the functions, the jobs and the state machine of a retraining may do."""

from __future__ import annotations

from typing import Any

from tests.infra.permissions import ARN, PROMOTERS, ROLES, SAGEMAKER, WORKFLOW, on, to


def test_the_snapshot_reads_every_version_of_cohorts_and_writes_slices_and_runs(default: Any) -> None:
    assert to(default.permissions("TrainingSnapshot"), "s3") == {
        ("s3:GetObject", "<StorageTraining>/cohorts/*"),
        ("s3:GetObjectVersion", "<StorageTraining>/cohorts/*"),
        ("s3:GetObject", "<StorageTraining>/slices/*"),
        ("s3:PutObject", "<StorageTraining>/slices/*"),
        ("s3:GetObject", "<StorageTraining>/runs/*"),
        ("s3:PutObject", "<StorageTraining>/runs/*"),
        ("s3:ListBucketVersions", "<StorageTraining>"),
        ("s3:ListBucket", "<StorageTraining>"),
        ("s3:GetObject", "<StorageModels>/artifacts/*"),
        ("s3:ListBucket", "<StorageModels>"),
    }
    (versions,) = (one for one in default.statements("TrainingSnapshot") if one["Action"] == "s3:ListBucketVersions")
    assert versions["Condition"] == {"StringLike": {"s3:prefix": ["cohorts/*"]}}
    assert on(default.permissions("TrainingSnapshot"), "<StorageBatches>") == {
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
    }
    versions_of_the_group = ("sagemaker:DescribeModelPackage", f"{SAGEMAKER}:model-package/wetread/*")
    assert to(default.permissions("TrainingSnapshot"), "sagemaker") == {versions_of_the_group}


def test_of_the_batches_table_gate_and_snapshot_reach_the_record_of_tested_patients_and_no_pointer(
    default: Any,
) -> None:
    assert on(default.permissions("TrainingGate"), "<StorageBatches>") == {
        "dynamodb:BatchGetItem",
        "dynamodb:UpdateItem",
    }
    for role, action in (
        ("TrainingGate", ["dynamodb:BatchGetItem", "dynamodb:UpdateItem"]),
        ("TrainingSnapshot", "dynamodb:BatchGetItem"),
    ):
        (statement,) = (one for one in default.statements(role) if one["Action"] == action)
        assert statement["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["PATIENT#*"]}}


def test_no_role_writes_labelled_objects(default: Any) -> None:
    def may(role: str, action: str, key: str) -> bool:
        return any(
            allowed.startswith(action) and resource == f"<StorageTraining>/{key}"
            for allowed, resource in default.permissions(role)
        )

    assert not [role for role in ROLES if may(role, "s3:Put", "cohorts/*") or may(role, "s3:Put", "*")]
    assert {role for role in ROLES if may(role, "s3:Get", "cohorts/*")} == {"TrainingSnapshot"}
    assert {role for role in ROLES if may(role, "s3:Put", "slices/*")} == {"TrainingSnapshot"}
    assert {role for role in ROLES if may(role, "s3:Put", "runs/*")} == {
        "TrainingSnapshot",
        "TrainingGate",
        "TrainingJob",
    }


def test_the_gate_sees_the_documents_of_runs_and_counts_attempts_and_nothing_else(default: Any) -> None:
    permissions = default.permissions("TrainingGate")
    assert {resource for _, resource in to(permissions, "s3")} == {"<StorageTraining>", "<StorageTraining>/runs/*"}
    assert {action.split(":")[0] for action, _ in permissions} == {"s3", "dynamodb", "kms", "logs", "xray"}


def test_artifacts_are_written_by_promote_and_read_to_serve_or_compare_them(default: Any) -> None:
    artifacts = {role: on(default.permissions(role), "<StorageModels>/") for role in ROLES}
    assert {role for role, actions in artifacts.items() if "s3:PutObject" in actions} == {"TrainingPromote"}
    assert {role for role, actions in artifacts.items() if actions} == {
        *PROMOTERS,
        "BatchDispatch",
        "BatchSweep",
        "ModelJob",
        "ModelEndpoint",
        "TrainingJob",
        "TrainingSnapshot",
    }


def test_promoters_work_with_the_services_own_versions_and_models(default: Any) -> None:
    group, versions = f"{SAGEMAKER}:model-package-group/wetread", f"{SAGEMAKER}:model-package/wetread/*"
    promoting = {
        ("sagemaker:DescribeModelPackage", versions),
        ("sagemaker:UpdateModelPackage", versions),
        ("sagemaker:CreateModel", f"{SAGEMAKER}:model/wetread-*"),
        ("sagemaker:DescribeModel", f"{SAGEMAKER}:model/wetread-*"),
    }
    registering = {
        ("sagemaker:ListModelPackages", "*"),
        ("sagemaker:CreateModelPackage", group),
        ("sagemaker:CreateModelPackage", versions),
    }
    assert to(default.permissions("TrainingApprove"), "sagemaker") == promoting
    assert to(default.permissions("TrainingPromote"), "sagemaker") == promoting | registering
    for promoter in PROMOTERS:
        assert on(default.permissions(promoter), "<StorageBatches>") == {
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
        }
        assert not on(default.permissions(promoter), "<StorageIndex>")
        assert "sqs:SendMessage" in on(default.permissions(promoter), "<BatchTickQueue>")


def test_the_workflow_calls_its_own_functions_and_none_of_their_versions_or_aliases(default: Any) -> None:
    assert to(default.permissions(WORKFLOW), "lambda") == {
        ("lambda:InvokeFunction", f"<Training{name}>") for name in ("Snapshot", "Gate", "Promote")
    }


def test_the_workflow_starts_follows_and_stops_jobs_of_the_service_only(default: Any) -> None:
    jobs = {
        "TrainingJob": [f"{SAGEMAKER}:training-job/wetread-train-*"],
        "ProcessingJob": [f"{SAGEMAKER}:processing-job/wetread-{one}-*" for one in ("audit", "optimise", "evaluate")],
    }
    assert to(default.permissions(WORKFLOW), "sagemaker") == {
        (f"sagemaker:{action}", resource)
        for kind, resources in jobs.items()
        for action in (f"Create{kind}", f"Describe{kind}", f"Stop{kind}", "AddTags", "ListTags")
        for resource in resources
    }


def test_the_workflow_gets_the_end_of_its_jobs_by_the_rules_of_step_functions(default: Any) -> None:
    rules = [
        ARN.format("events", f"rule/StepFunctionsGetEventsForSageMaker{kind}JobsRule")
        for kind in ("Training", "Processing")
    ]
    assert to(default.permissions(WORKFLOW), "events") == {
        (f"events:{action}", rule) for action in ("PutTargets", "PutRule", "DescribeRule") for rule in rules
    }


def test_the_workflow_publishes_notices_and_touches_no_data_itself(default: Any) -> None:
    permissions = default.permissions(WORKFLOW)
    assert to(permissions, "sns") == {("sns:Publish", "<Notices>")}
    assert {action for action, _ in to(permissions, "kms")} == {"kms:Decrypt", "kms:GenerateDataKey", "kms:CreateGrant"}
    assert not to(permissions, "s3") | to(permissions, "dynamodb") | to(permissions, "sqs")


def test_the_jobs_of_a_retraining_read_slices_runs_and_artifacts_and_write_runs(default: Any) -> None:
    assert to(default.permissions("TrainingJob"), "s3") == {
        ("s3:GetObject", "<StorageTraining>/slices/*"),
        ("s3:GetObject", "<StorageTraining>/runs/*"),
        ("s3:GetObject", "<StorageModels>/artifacts/*"),
        ("s3:PutObject", "<StorageTraining>/runs/*"),
        ("s3:AbortMultipartUpload", "<StorageTraining>/runs/*"),
        ("s3:DeleteObject", "<StorageTraining>/runs/*/checkpoints/*"),
        ("s3:DeleteObject", "<StorageTraining>/checkpoints/*"),
        ("s3:GetObject", "<StorageTraining>/checkpoints/*"),
        ("s3:PutObject", "<StorageTraining>/checkpoints/*"),
        ("s3:AbortMultipartUpload", "<StorageTraining>/checkpoints/*"),
        ("s3:ListBucket", "<StorageTraining>"),
        ("s3:ListBucket", "<StorageModels>"),
    }
    listings = [one["Condition"] for one in default.statements("TrainingJob") if one["Action"] == "s3:ListBucket"]
    assert listings == [
        {"StringLike": {"s3:prefix": ["slices/*", "runs/*", "checkpoints/*"]}},
        {"StringLike": {"s3:prefix": ["artifacts/*"]}},
    ]


def test_the_jobs_of_a_retraining_write_their_own_logs_and_metrics(default: Any) -> None:
    groups = {resource for action, resource in default.permissions("TrainingJob") if action.startswith("logs:")}
    assert groups == {
        ARN.format("logs", f"log-group:/aws/sagemaker/{kind}Jobs*") for kind in ("Training", "Processing")
    }
    (metrics,) = (one for one in default.statements("TrainingJob") if one["Action"] == "cloudwatch:PutMetricData")
    assert metrics["Condition"] == {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}}


def test_the_reader_of_the_champion_may_describe_its_tables_key(default: Any) -> None:
    on_key = {action for action, resource in default.permissions("TrainingSnapshot") if resource == "<StorageKey>"}
    assert {"kms:Decrypt", "kms:DescribeKey"} <= on_key


def test_a_key_is_granted_to_the_disks_of_a_job_and_to_nothing_else(default: Any) -> None:
    lenders = {role for role in ROLES if "kms:CreateGrant" in {action for action, _ in default.permissions(role)}}
    assert lenders == {"TrainingJob", "ModelJob", "ModelEndpoint", WORKFLOW}
    for role in lenders:
        (statement,) = (one for one in default.statements(role) if one["Action"] == "kms:CreateGrant")
        assert statement["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


def test_every_job_role_may_pull_the_image(default: Any) -> None:
    pullers = {role for role in ROLES if "ecr:BatchGetImage" in {action for action, _ in default.permissions(role)}}
    assert pullers == {"ModelJob", "ModelEndpoint", "TrainingJob", "TrainingPromote"}
