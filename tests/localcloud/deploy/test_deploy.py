"""Assemblies deployed with boto3, and one of them at work: an upload becomes a row."""

from __future__ import annotations

import base64
import hashlib

import pytest

from localcloud.deploy.deploy import Deployer, DeployError

HANDLER = """
import json, os, boto3
from helping import shout
def handler(event, context):
    s3, table = boto3.client("s3"), boto3.client("dynamodb")
    for record in event["Records"]:
        detail = json.loads(record["body"])["detail"]
        key, version = detail["object"]["key"], detail["object"]["version-id"]
        source = {"Bucket": detail["bucket"]["name"], "Key": key, "VersionId": version}
        copied = s3.copy_object(Bucket=os.environ["WORK"], Key="copy", CopySource=source, ChecksumAlgorithm="SHA256")
        item = {"Id": shout(key), "Sum": copied["CopyObjectResult"]["ChecksumSHA256"]}
        table.put_item(TableName=os.environ["TABLE"], Item={name: {"S": value} for name, value in item.items()})
"""


def ref(name):
    return {"Ref": name}


def att(name, attribute="Arn"):
    return {"Fn::GetAtt": [name, attribute]}


def pipeline(asset):
    """Bucket -> EventBridge -> queue -> function with a layer -> table."""
    assume = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    deliver = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    below = lambda bucket: {"Fn::Join": ["", [att(bucket), "/*"]]}  # noqa: E731
    allowed = [
        {"Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": below("Uploads")},
        {"Action": "s3:PutObject", "Resource": below("Work")},
        {"Action": "dynamodb:PutItem", "Resource": att("Table")},
        {"Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], "Resource": att("Queue")},
    ]
    statements = [{"Effect": "Allow", **statement} for statement in allowed]
    return {
        "Uploads": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "VersioningConfiguration": {"Status": "Enabled"},
                "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
            },
        },
        "Work": {"Type": "AWS::S3::Bucket"},
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 60}},
        "QueuePolicy": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {
                "Queues": [ref("Queue")],
                "PolicyDocument": {"Version": "2012-10-17", "Statement": [{**deliver, "Resource": att("Queue")}]},
            },
        },
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "EventPattern": {"source": ["aws.s3"], "detail": {"bucket": {"name": [ref("Uploads")]}}},
                "Targets": [{"Id": "queue", "Arn": att("Queue")}],
            },
        },
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "KeySchema": [{"AttributeName": "Id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "Id", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
            },
        },
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [assume]},
                "Policies": [
                    {"PolicyName": "all", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}
                ],
            },
        },
        "Layer": {"Type": "AWS::Lambda::LayerVersion", "Properties": {"Content": asset("layer")}},
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Code": asset("code"),
                "Handler": "code.handler",
                "Runtime": "python3.11",
                "Timeout": 20,
                "Role": att("Role"),
                "Layers": [ref("Layer")],
                "Environment": {"Variables": {"WORK": ref("Work"), "TABLE": ref("Table")}},
            },
        },
        "Mapping": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {"EventSourceArn": att("Queue"), "FunctionName": ref("Function"), "BatchSize": 10},
        },
    }


@pytest.fixture
def deploy(here, session, tmp_path, name, assembly):
    said = []

    def run(template, **options):
        assembly(tmp_path / "cdk.out", template, name, **options)
        return Deployer(session, here.endpoint, said.append).deploy(tmp_path / "cdk.out")

    run.said = said
    return run


@pytest.fixture
def stack(client, name):
    def describe():
        return client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]

    return describe


def test_an_assembly_with_assets_is_deployed_and_works(deploy, stack, client, name, until):
    folders = {"code": {"code.py": HANDLER}, "layer": {"python/helping.py": "shout = str.upper"}}

    def asset(folder):
        return {"S3Bucket": "cdk-assets-000000000000-us-east-1", "S3Key": f"{name}-{folder}.zip"}

    outputs = {"Uploads": {"Value": ref("Uploads")}, "Table": {"Value": ref("Table")}}
    assert deploy({"Resources": pipeline(asset), "Outputs": outputs}, folders=folders) == [name]
    assert deploy.said == [f"Deploying stack {name}: 10 resources."]
    assert [tag["Value"] for tag in stack()["Tags"] if tag["Key"] == "owner"] == ["team"]
    found = {output["OutputKey"]: output["OutputValue"] for output in stack()["Outputs"]}

    client("s3").put_object(Bucket=found["Uploads"], Key="a b+ü.dcm", Body=b"dicom")

    key = {"Id": {"S": "A B+Ü.DCM"}}
    row = until(lambda: client("dynamodb").get_item(TableName=found["Table"], Key=key).get("Item"))
    assert row["Sum"]["S"] == base64.b64encode(hashlib.sha256(b"dicom").digest()).decode()


QUEUE = {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 10}}}


def test_deploying_the_same_again_changes_nothing(deploy, stack):
    deploy({"Resources": QUEUE})
    before = stack()
    deploy({"Resources": QUEUE})
    assert stack() == before


def test_a_changed_template_updates_the_stack(deploy, stack, client, name):
    deploy({"Resources": QUEUE})
    more = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{name}-more"}}
    deploy({"Resources": {**QUEUE, "More": more}})
    assert stack()["StackStatus"] == "UPDATE_COMPLETE"
    assert client("sqs").get_queue_url(QueueName=f"{name}-more")


BROKEN = {
    "Type": "AWS::SageMaker::ModelPackageGroup",
    "Properties": {"ModelPackageGroupName": "under_score"},
}


def test_a_failure_names_the_resource_and_the_reason_and_can_be_deployed_over(deploy, stack):
    with pytest.raises(DeployError, match=r"Group \(AWS::SageMaker::ModelPackageGroup\): .*regular expression pattern"):
        deploy({"Resources": {**QUEUE, "Group": BROKEN}})
    deploy({"Resources": QUEUE})
    assert stack()["StackStatus"] == "CREATE_COMPLETE"


def test_a_failed_update_names_the_resource_too(deploy, stack):
    deploy({"Resources": QUEUE})
    with pytest.raises(DeployError, match=r"is UPDATE_ROLLBACK_COMPLETE\. Group .*regular expression pattern"):
        deploy({"Resources": {**QUEUE, "Group": BROKEN}})


def test_a_template_that_is_refused_at_once_is_a_deploy_error(deploy):
    with pytest.raises(DeployError, match="Unrecognized resource types"):
        deploy({"Resources": {"Odd": {"Type": "AWS::Odd::Thing"}}})
