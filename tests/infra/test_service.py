from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_logs as logs
from aws_cdk.assertions import Template
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from functions.settings import (
    ApproveSettings,
    CollectSettings,
    DispatchSettings,
    GateSettings,
    IngestSettings,
    PromoteSettings,
    SnapshotSettings,
    SweepSettings,
    from_environment,
    values_of,
)
from infra import validation
from infra.config import StageConfig
from infra.kept import log_retention
from infra.outputs import DESCRIPTIONS
from infra.service import Service

OUTPUTS = {
    "UploadsBucketName",
    "UploadsQueueUrl",
    "WorkBucketName",
    "ResultsBucketName",
    "ModelsBucketName",
    "TrainingBucketName",
    "TrainingStateMachineArn",
    "IndexTableName",
    "BatchesTableName",
    "Keys",
    "KeysTableName",
    "StudiesTableName",
    "TickQueueUrl",
    "ModelPackageGroupName",
    "JobRoleArn",
    "EndpointRoleArn",
    "Folds",
    "Labels",
    "ImageUri",
    "PatientKeyId",
    "DataKeyArn",
    "DeadLetterQueueUrls",
    "Slots",
    "MaxJobsPerDay",
    "Closers",
    "Served",
    "Thresholds",
    "JobHosts",
    "JobNamePrefix",
    "InstanceType",
    "FunctionPackages",
    "AlarmTopicArn",
    "KeyTopicArn",
    "UploaderPolicyArn",
    "ReaderPolicyArn",
    "LabellerPolicyArn",
    "ApproverPolicyArn",
    "ExaminerPolicyArn",
    "DashboardName",
}
SETTINGS = {
    "IntakeIngest": IngestSettings,
    "BatchDispatch": DispatchSettings,
    "BatchCollect": CollectSettings,
    "BatchSweep": SweepSettings,
    "TrainingSnapshot": SnapshotSettings,
    "TrainingGate": GateSettings,
    "TrainingPromote": PromoteSettings,
    "TrainingApprove": ApproveSettings,
}


CONSTRUCTS = (
    *("Stack", "Storage", "Functions", "Model", "Batch", "Intake", "Notices", "Training", "Monitoring", "People"),
    "KeyWatch",
)


@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_the_template_is_the_reviewed_one(parts: dict[str, Any], construct: str, snapshot: SnapshotAssertion) -> None:
    assert parts[construct] == snapshot(extension_class=JSONSnapshotExtension)


def test_every_part_of_the_template_is_reviewed(parts: dict[str, Any]) -> None:
    assert set(parts) == set(CONSTRUCTS)


@pytest.fixture(scope="module")
def parts(default: Any) -> dict[str, Any]:
    """Return construct of the stack -> its resources by logical id, and as Stack everything but the resources."""
    metadata = json.loads((default.directory / "Wetread.metadata.json").read_text())
    # An asset's name is the hash of its content, which any change of the code changes.
    template = json.loads(re.sub(r"[0-9a-f]{64}", "<asset hash>", json.dumps(default.template)))
    construct_of = {
        entry["data"]: path.split("/")[2]
        for path, entries in metadata.items()
        for entry in entries
        if entry["type"] == "aws:cdk:logicalId"
    }
    found: dict[str, Any] = {"Stack": template}
    for name, resource in template.pop("Resources").items():
        found.setdefault(construct_of[name], {})[name] = readable(resource)
    return found


def readable(value: Any) -> Any:
    """Return a template's value with JSON texts parsed: a state machine, a dashboard."""
    if isinstance(value, list):
        return [readable(one) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Fn::Join"}:
        separator, pieces = value["Fn::Join"]
        joined = separator.join(one if isinstance(one, str) else _reference(one) for one in pieces)
        return json.loads(joined) if joined.startswith("{") else value
    return {key: readable(one) for key, one in value.items()}


def _reference(value: dict[str, Any]) -> str:
    """Return a Ref, Fn::GetAtt or Fn::Sub as a text, with everything that it names."""
    ((function, argument),) = value.items()
    assert function in {"Ref", "Fn::GetAtt", "Fn::Sub"}
    return f"<{argument if isinstance(argument, str) else '.'.join(argument)}>"


# The local stage has the resources of one with the express lane, as the next test says, with other numbers.
@pytest.mark.parametrize("stage", ["default", pytest.param("local", marks=pytest.mark.check)])
def test_cfn_lint_finds_nothing(stage: str, request: pytest.FixtureRequest) -> None:
    assert not request.getfixturevalue(stage).lint()


def test_both_clouds_get_the_same_resources(asked: Any, local: Any) -> None:
    def types(assembly: Any) -> dict[str, str]:
        return {name: resource["Type"] for name, resource in assembly.template["Resources"].items()}

    assert types(asked) == types(local)


def test_there_are_no_custom_resources(default: Any) -> None:
    types = {resource["Type"] for resource in default.template["Resources"].values()}
    assert not [one for one in types if one.startswith("Custom::") or one == "AWS::CloudFormation::CustomResource"]
    assert len(default.of_type("AWS::Lambda::Function")) == len(SETTINGS), "CDK added a function"


def test_the_template_names_no_account_and_no_region(default: Any) -> None:
    assert not re.search(r"\b\d{12}\b|us-east-1", json.dumps(default.template["Resources"]))


def test_the_outputs_are_those_that_the_command_line_reads(default: Any) -> None:
    assert set(default.template["Outputs"]) == OUTPUTS


def test_senders_know_what_ingest_takes_in(default: Any) -> None:
    said = json.loads(default.template["Outputs"]["Served"]["Value"])
    assert said.items() <= default.environment("IntakeIngest").items()
    assert set(said) == {name.upper() for name in values_of(StageConfig().served)}


@pytest.mark.parametrize("function", SETTINGS)
def test_a_function_gets_exactly_its_settings(default: Any, function: str) -> None:
    environment = default.environment(function)
    settings = values_of(from_environment(SETTINGS[function], environment))
    powertools = {"POWERTOOLS_SERVICE_NAME": "wetread", "POWERTOOLS_LOG_LEVEL": "INFO"}
    assert set(environment) == {name.upper() for name in settings} | set(powertools)
    assert powertools.items() <= environment.items()
    stage = values_of(StageConfig())
    # Where these are empty the deployment makes what they name, and the names are known only then.
    made = {"image_uri", "data_key_arn", "uploads_bucket"}
    same = {name: value for name, value in stage.items() if name in settings.keys() - made}
    if "max_payload_mb" in same:
        same["max_payload_mb"] = StageConfig().job_payload_mb  # an object of just the limit must fit
    assert same
    assert {name: settings[name] for name in same} == same


@pytest.mark.parametrize("function", SETTINGS)
def test_a_handler_is_a_function_of_the_code_asset(default: Any, function: str) -> None:
    module, _, name = default.named("AWS::Lambda::Function", function)["Handler"].rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))
    code = default.named("AWS::Lambda::Function", function)["Code"]["S3Key"].removesuffix(".zip")
    asset = default.directory / f"asset.{code}"
    assert (asset / f"{module.replace('.', '/')}.py").is_file()
    assert {path.name for path in asset.iterdir()} == {"aggregation", "functions", "untrusted"}
    assert not list(asset.rglob("*.pyc"))


def test_the_layer_has_the_same_hash_however_often_it_is_built(default: Any, local: Any) -> None:
    keys = {
        layer["Content"]["S3Key"]
        for assembly in (default, local)
        for layer in assembly.of_type("AWS::Lambda::LayerVersion").values()
    }
    assert len(keys) == 1


def test_the_functions_log_encrypted_for_three_months_and_are_traced(default: Any) -> None:
    groups = default.of_type("AWS::Logs::LogGroup")
    assert set(groups) == {f"{name}Log" for name in (*SETTINGS, "TrainingWorkflow")}
    assert all(group["RetentionInDays"] == 90 and "KmsKeyId" in group for group in groups.values())
    functions = default.of_type("AWS::Lambda::Function").values()
    assert all(one["LoggingConfig"]["LogGroup"] and one["TracingConfig"]["Mode"] == "Active" for one in functions)


def test_every_queue_keeps_messages_that_could_not_be_handled(default: Any) -> None:
    queues = default.of_type("AWS::SQS::Queue")
    assert {name for name, queue in queues.items() if "RedrivePolicy" not in queue} == {
        "BatchTickDeadLetters",
        "BatchJobEventsDeadLetters",
        "IntakeUploadsDeadLetters",
        "TrainingApprovalsDeadLetters",
    }


def test_queues_are_encrypted_and_reached_over_tls_only(default: Any) -> None:
    queues = default.of_type("AWS::SQS::Queue")
    assert all("KmsMasterKeyId" in queue for queue in queues.values())
    policies = default.of_type("AWS::SQS::QueuePolicy").values()
    assert len(policies) == len(queues)
    for policy in policies:
        denied = [one for one in policy["PolicyDocument"]["Statement"] if one["Effect"] == "Deny"]
        assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_failed_message_is_retried_alone_and_with_time_enough(default: Any) -> None:
    mappings = default.of_type("AWS::Lambda::EventSourceMapping").values()
    assert [one["FunctionResponseTypes"] for one in mappings] == [["ReportBatchItemFailures"]] * 5
    for queue, function in (
        ("IntakeUploads", "IntakeIngest"),
        ("IntakeRetry", "IntakeIngest"),
        ("BatchTick", "BatchDispatch"),
        ("BatchJobEvents", "BatchCollect"),
        ("TrainingApprovals", "TrainingApprove"),
    ):
        timeout = default.named("AWS::Lambda::Function", function)["Timeout"]
        assert default.named("AWS::SQS::Queue", f"{queue}Queue")["VisibilityTimeout"] >= 6 * timeout


def test_data_outlives_the_stack_unless_the_stage_says_otherwise(default: Any, local: Any) -> None:
    for name in (
        "StorageIndex",
        "StorageUploads",
        "StorageResults",
        "StorageTraining",
        "StorageKey",
        "IntakePatientKey",
        *default.of_type("AWS::SQS::Queue"),
    ):
        assert default.resource(name)["DeletionPolicy"] in {"Retain", "RetainExceptOnCreate"}
        assert default.resource(name)["UpdateReplacePolicy"] == "Retain"
        assert local.resource(name)["DeletionPolicy"] == "Delete"
    assert default.named("AWS::DynamoDB::Table", "StorageIndex")["DeletionProtectionEnabled"] is True
    assert local.named("AWS::DynamoDB::Table", "StorageIndex")["DeletionProtectionEnabled"] is False


def test_a_first_deployment_that_fails_can_be_repeated(default: Any) -> None:
    """What a rollback left behind would cost money, and a name that stays taken fails the next deployment."""
    policies: dict[str, set[str]] = {}
    for resource in default.template["Resources"].values():
        policies.setdefault(resource["Type"], set()).add(resource.get("DeletionPolicy", "Delete"))
    # A protected table cannot be deleted, and so would fail the rollback; its name is a generated one.
    assert {kind for kind, kept in policies.items() if "Retain" in kept} == {"AWS::DynamoDB::Table"}
    assert policies["AWS::SageMaker::ModelPackageGroup"] == policies["AWS::KMS::Key"] == {"RetainExceptOnCreate"}


def test_each_output_says_what_it_is(default: Any) -> None:
    without = [name for name, one in default.template["Outputs"].items() if len(one.get("Description", "")) < 20]
    assert without == []
    # Of stages that have a network, tags or a key for a given bucket (test_account_rules.py), that test by folds, or
    # that have an express lane (test_express.py) or a webhook (test_webhook.py).
    of_some = {"Placement", "UploadsKeyArn", "Folds", "ExpressPerDay", "ExpressConcurrency", "WebhookDeadLettersUrl"}
    assert set(DESCRIPTIONS) == {*default.template["Outputs"], *of_some}, "no description is left over"
    assert all(len(one["Description"]) <= 1024 for one in default.template["Outputs"].values())  # CloudFormation's


@pytest.mark.parametrize("days", validation.LOG_RETENTIONS)
def test_logs_are_kept_as_many_days_as_the_setting_says(days: int) -> None:
    stack = Stack()
    logs.LogGroup(stack, "Log", retention=log_retention(StageConfig(logs_kept_days=days)))
    (group,) = Template.from_stack(stack).find_resources("AWS::Logs::LogGroup").values()
    assert group["Properties"]["RetentionInDays"] == days


def test_the_setting_holds_for_every_log_group_of_the_stack(tmp_path: Path) -> None:
    context = json.loads((Path(__file__).parents[2] / "cdk.json").read_text())["context"]
    app = App(outdir=str(tmp_path), context=context)
    stack = Service(app, "Wetread", config=StageConfig(logs_kept_days=7, image_uri="a/b:c"))
    groups = Template.from_stack(stack).find_resources("AWS::Logs::LogGroup").values()
    assert {one["Properties"].get("RetentionInDays") for one in groups} == {7}
