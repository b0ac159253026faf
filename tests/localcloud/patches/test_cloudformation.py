"""CloudFormation creates what the template says."""

from __future__ import annotations

import json

import pytest

TEMPLATE = {
    "Resources": {
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": []}}},
        "Mac": {
            "Type": "AWS::KMS::Key",
            "Properties": {
                "KeySpec": "HMAC_256",
                "KeyUsage": "GENERATE_VERIFY_MAC",
                "KeyPolicy": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
                            "Action": "kms:*",
                            "Resource": "*",
                        }
                    ],
                },
            },
        },
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [
                        {
                            "ServerSideEncryptionByDefault": {
                                "SSEAlgorithm": "aws:kms",
                                "KMSMasterKeyID": {"Fn::GetAtt": ["Key", "Arn"]},
                            }
                        }
                    ]
                }
            },
        },
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "KeySchema": [{"AttributeName": "Id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "Id", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
                "TimeToLiveSpecification": {"AttributeName": "ExpiresAt", "Enabled": True},
                "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
                "SSESpecification": {"SSEEnabled": True, "SSEType": "KMS"},
            },
        },
    },
    "Outputs": {name: {"Value": {"Ref": name}} for name in ("Key", "Mac", "Bucket", "Table")},
}


@pytest.fixture
def outputs(client, name, until):
    stacks = client("cloudformation")
    stacks.create_stack(StackName=name, TemplateBody=json.dumps(TEMPLATE))
    stack = until(
        lambda: [s for s in stacks.describe_stacks(StackName=name)["Stacks"] if s["StackStatus"] == "CREATE_COMPLETE"]
    )[0]
    yield {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    stacks.delete_stack(StackName=name)


def test_tables_buckets_and_keys_keep_their_settings(client, outputs):
    dynamodb, table = client("dynamodb"), outputs["Table"]
    assert dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"
    backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert dynamodb.describe_table(TableName=table)["Table"]["SSEDescription"]["SSEType"] == "KMS"
    encryption = client("s3").get_bucket_encryption(Bucket=outputs["Bucket"])["ServerSideEncryptionConfiguration"]
    default = encryption["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    assert (default["SSEAlgorithm"], default["KMSMasterKeyID"].rpartition("/")[2]) == ("aws:kms", outputs["Key"])


def test_a_key_of_a_template_makes_codes_for_whom_it_may(client, outputs, function, invoke):
    kms = client("kms")
    request = {"KeyId": outputs["Mac"], "Message": b"patient", "MacAlgorithm": "HMAC_SHA_256"}
    code = kms.generate_mac(**request)["Mac"]
    assert len(code) == 32
    assert kms.verify_mac(**request, Mac=code)["MacValid"]

    source = """
import boto3
def handler(key, context):
    boto3.client("kms").generate_mac(KeyId=key, Message=b"patient", MacAlgorithm="HMAC_SHA_256")
"""
    arn = kms.describe_key(KeyId=outputs["Mac"])["KeyMetadata"]["Arn"]
    assert invoke(function(source, ("kms:GenerateMac", arn)), outputs["Mac"]) == (None, False)
    assert "AccessDenied" in invoke(function(source), outputs["Mac"])[0]["errorMessage"]
