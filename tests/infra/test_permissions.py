"""Least privilege, in sentences: what a role may do, and above all what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.conftest import text
from tests.infra.permissions import OWN_JOBS, PROMOTERS, ROLES, SAGEMAKER, WORKFLOW, on, to


@pytest.mark.parametrize("role", ROLES)
def test_only_actions_without_resources_are_allowed_on_all_resources(default: Any, role: str) -> None:
    everywhere = {action for action, resource in default.permissions(role) if resource == "*"}
    traces = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
    of_a_workflow = {
        "xray:GetSamplingRules",
        "xray:GetSamplingTargets",
        "logs:CreateLogDelivery",
        "logs:GetLogDelivery",
        "logs:UpdateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:DescribeResourcePolicies",
        "logs:DescribeLogGroups",
    }
    if role == WORKFLOW:
        assert everywhere == traces | of_a_workflow
    elif role in PROMOTERS:
        assert everywhere <= traces | {"sagemaker:ListModelPackages", "ecr:GetAuthorizationToken"}
    elif role == "BatchSweep":
        assert everywhere == traces | {"cloudwatch:GetMetricStatistics"}
    else:
        assert everywhere <= traces | {"cloudwatch:PutMetricData", "ecr:GetAuthorizationToken"}


@pytest.mark.parametrize("role", ROLES)
def test_no_action_is_a_wildcard(default: Any, role: str) -> None:
    assert not [action for action, _ in default.permissions(role) if "*" in action]


def test_no_resource_policy_allows_everything_but_the_accounts_own_for_its_keys(default: Any) -> None:
    kinds = ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::KMS::Key")
    policies = [policy for kind in kinds for policy in default.of_type(kind).values()]
    statements = [
        statement
        for policy in policies
        for statement in (policy.get("PolicyDocument") or policy["KeyPolicy"])["Statement"]
        if statement["Effect"] == "Allow" and "*" in str(statement["Action"])
    ]
    # AWS's default, without which IAM policies have no effect on the key.
    assert [one["Action"] for one in statements] == ["kms:*"] * 2
    assert {text(one["Principal"]["AWS"]) for one in statements} == {"arn:<AWS::Partition>:iam::<AWS::AccountId>:root"}


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_scan_tables(default: Any, role: str) -> None:
    assert "dynamodb:Scan" not in {action for action, _ in default.permissions(role)}


def test_roles_are_passed_by_creators_of_models_and_jobs_and_only_to_sagemaker(default: Any) -> None:
    passed = {
        (role, resource) for role in ROLES for action, resource in default.permissions(role) if action == "iam:PassRole"
    }
    assert passed == {
        *((promoter, "<ModelJobRole>") for promoter in PROMOTERS),
        (WORKFLOW, "<TrainingJobRole>"),
    }
    for role, _ in passed:
        (statement,) = (one for one in default.statements(role) if one["Action"] == "iam:PassRole")
        assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def test_nothing_is_ever_deleted_but_copies_outputs_and_checkpoints(default: Any) -> None:
    deletes = {(role, *one) for role in ROLES for one in default.permissions(role) if one[0].startswith("s3:Delete")}
    assert deletes == {
        (role, "s3:DeleteObject", f"<StorageWork>/{prefix}/*")
        for role, prefixes in (
            ("BatchCollect", ("instances", "outputs")),
            ("BatchSweep", ("instances", "outputs")),
            ("IntakeIngest", ("instances",)),
        )
        for prefix in prefixes
    } | {
        ("TrainingJob", "s3:DeleteObject", f"<StorageTraining>/{place}/*")
        for place in ("checkpoints", "runs/*/checkpoints")
    }


def test_only_roles_that_open_batches_or_promote_may_put_items_into_the_batches_table(default: Any) -> None:
    writers = {role for role in ROLES if "dynamodb:PutItem" in on(default.permissions(role), "<StorageBatches>")}
    assert writers == {"BatchDispatch", "BatchSweep", *PROMOTERS}


def test_only_ingest_may_read_uploads_and_the_sweep_to_have_them_read_again(default: Any) -> None:
    readers = {role for role in ROLES if on(default.permissions(role), "<StorageUploads>")}
    assert readers == {"IntakeIngest", "BatchSweep"}
    for reader in readers:
        assert "s3:PutObject" not in on(default.permissions(reader), "<StorageUploads>")


def test_studies_are_opened_by_ingest_and_collect_and_closed_by_the_sweep(default: Any) -> None:
    allowed = {role: on(default.permissions(role), "<StorageStudies>") for role in ROLES}
    writes = {"dynamodb:PutItem", "dynamodb:UpdateItem"}
    assert {role: actions for role, actions in allowed.items() if actions} == {
        "IntakeIngest": writes,
        "BatchCollect": {"dynamodb:UpdateItem"},
        "BatchSweep": writes | {"dynamodb:Query", "dynamodb:DeleteItem"},
    }


def test_only_the_sweep_publishes_events(default: Any) -> None:
    allowed = {role: to(default.permissions(role), "events") for role in ROLES if role != WORKFLOW}
    bus = "arn:<AWS::Partition>:events:<AWS::Region>:<AWS::AccountId>:event-bus/default"
    assert {role: actions for role, actions in allowed.items() if actions} == {
        "BatchSweep": {("events:PutEvents", bus)},
    }


def test_a_function_invokes_itself_at_most_and_only_the_sweep_does(default: Any) -> None:
    """To close many studies."""
    invoked = {
        (role, resource) for role in ROLES for action, resource in default.permissions(role) if "Invoke" in action
    }
    assert {one for one in invoked if one[0] != WORKFLOW} == {("BatchSweep", "<BatchSweep>")}


def test_ingest_pins_uploads_and_writes_nothing_else_into_the_work_bucket(default: Any) -> None:
    assert {
        resource
        for _, resource in to(default.permissions("IntakeIngest"), "s3")
        if resource.startswith("<StorageWork>")
    } == {"<StorageWork>/instances/*"}


def test_only_ingest_may_hash_a_patient_and_it_may_do_nothing_else_with_that_key(default: Any) -> None:
    allowed = {role: on(default.permissions(role), "<IntakePatientKey>") for role in ROLES}
    hashing = ("IntakeIngest", "TrainingSnapshot")
    assert allowed == {role: {"kms:GenerateMac"} if role in hashing else set() for role in ROLES}


def test_rows_are_written_by_ingest_and_changed_by_the_others(default: Any) -> None:
    assert on(default.permissions("IntakeIngest"), "<StorageIndex>") == {
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:PutItem",
        "dynamodb:ConditionCheckItem",
    }
    for function in ("BatchDispatch", "BatchCollect", "BatchSweep"):
        of_one = {"dynamodb:GetItem"} if function == "BatchSweep" else set()
        assert on(default.permissions(function), "<StorageIndex>") - {"dynamodb:Query"} == of_one | {
            "dynamodb:BatchGetItem",
            "dynamodb:UpdateItem",
        }


def test_a_function_may_query_its_own_indexes_and_no_others(default: Any) -> None:
    queried = {
        role: {resource for action, resource in default.permissions(role) if action == "dynamodb:Query"}
        for role in ROLES
    }
    assert {role: resources for role, resources in queried.items() if resources} == {
        "BatchDispatch": {"<StorageIndex>/index/ByStatus"},
        "BatchSweep": {
            "<StorageIndex>/index/ByStatus",
            "<StorageIndex>/index/ByModel",
            "<StorageStudies>",
            "<StorageStudies>/index/ByDue",
        },
    }


def test_dispatch_starts_jobs_of_the_service_only(default: Any) -> None:
    assert to(default.permissions("BatchDispatch"), "sagemaker") == {
        ("sagemaker:CreateTransformJob", OWN_JOBS),
        ("sagemaker:CreateTransformJob", f"{SAGEMAKER}:model/wetread-*"),
        ("sagemaker:DescribeModel", f"{SAGEMAKER}:model/wetread-*"),
        ("sagemaker:AddTags", OWN_JOBS),
        ("sagemaker:DescribeTransformJob", OWN_JOBS),
    }


def test_collect_only_describes_jobs_and_only_the_sweep_stops_them(default: Any) -> None:
    assert to(default.permissions("BatchCollect"), "sagemaker") == {("sagemaker:DescribeTransformJob", OWN_JOBS)}
    stoppers = {role for role in ROLES if ("sagemaker:StopTransformJob", OWN_JOBS) in default.permissions(role)}
    assert stoppers == {"BatchSweep"}


def test_the_sweep_may_do_all_that_dispatch_and_collect_may(default: Any) -> None:
    def own(function: str) -> set[tuple[str, str]]:
        return {
            (action, resource)
            for action, resource in default.permissions(function)
            if "Log>" not in resource and (not action.startswith("sqs:") or action == "sqs:SendMessage")
        }

    assert own("BatchDispatch") | own("BatchCollect") <= own("BatchSweep")


def test_a_job_reads_instances_batches_and_artifacts_and_writes_outputs(default: Any) -> None:
    assert to(default.permissions("ModelJob"), "s3") == {
        ("s3:GetObject", "<StorageWork>/instances/*"),
        ("s3:GetObject", "<StorageWork>/batches/*"),
        ("s3:GetObject", "<StorageModels>/artifacts/*"),
        ("s3:PutObject", "<StorageWork>/outputs/*"),
        ("s3:AbortMultipartUpload", "<StorageWork>/outputs/*"),
        ("s3:ListBucket", "<StorageWork>"),
    }
    (listing,) = (one for one in default.statements("ModelJob") if one["Action"] == "s3:ListBucket")
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["instances/*", "batches/*", "outputs/*"]}}


def test_an_endpoint_reads_artifacts_and_nothing_else(default: Any) -> None:
    assert to(default.permissions("ModelEndpoint"), "s3") == {("s3:GetObject", "<StorageModels>/artifacts/*")}
    (logs,) = {resource for action, resource in default.permissions("ModelEndpoint") if action.startswith("logs:")}
    assert logs.endswith(":log-group:/aws/sagemaker/Endpoints*")


@pytest.mark.parametrize(
    ("role", "service"),
    [
        ("ModelJobRole", "sagemaker"),
        ("ModelEndpointRole", "sagemaker"),
        ("TrainingJobRole", "sagemaker"),
        ("TrainingWorkflowRole", "states"),
    ],
)
def test_only_its_service_may_take_a_role_and_only_for_this_account(default: Any, role: str, service: str) -> None:
    (statement,) = default.named("AWS::IAM::Role", role)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_no_role_has_a_managed_policy(default: Any) -> None:
    assert not [name for name, role in default.of_type("AWS::IAM::Role").items() if role.get("ManagedPolicyArns")]


@pytest.mark.parametrize(
    ("role", "bucket"),
    [
        *((role, "Models") for role in ("BatchDispatch", "BatchSweep", "TrainingPromote", "TrainingApprove")),
        ("PeopleApprover", "Models"),
        *((role, "Work") for role in ("BatchCollect", "BatchSweep")),
        ("IntakeIngest", "Uploads"),
        *((role, "Training") for role in ("TrainingSnapshot", "TrainingGate")),
    ],
)
def test_who_acts_on_a_missing_object_may_list_the_bucket_without_a_prefix(
    default: Any, role: str, bucket: str
) -> None:
    """Otherwise S3 answers 403 for a missing object, and a request for an object has no prefix."""
    listing = [one for one in default.statements(role) if "s3:ListBucket" in str(one["Action"])]
    assert any(
        "Condition" not in one and f"<Storage{bucket}>" in map(text, as_list(one["Resource"])) for one in listing
    )


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
