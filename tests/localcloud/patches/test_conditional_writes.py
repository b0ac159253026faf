"""Under a write-once policy an object is created only on condition that it does not exist, and never replaced."""

from __future__ import annotations

import json

import boto3
import pytest
from botocore.exceptions import ClientError

from localcloud.patches import iam as patches

ASSUME = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
# As in infra/storage.py: tests/infra/test_storage.py compares.
ONCE = (
    ("s3:PutObject", {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}),
    (["s3:DeleteObject", "s3:DeleteObjectVersion"], {}),
)
KEY = "artifacts/ab/model.tar.gz"


@pytest.fixture
def writer(session, client, bucket, name):
    """S3 as a role that may do everything, in a bucket with a policy that makes artifacts write-once."""
    once = [
        {
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": action,
            "Resource": f"arn:aws:s3:::{bucket}/artifacts/*",
            **({"Condition": condition} if condition else {}),
        }
        for action, condition in ONCE
    ]
    s3, iam = client("s3"), client("iam")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": once}))
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(ASSUME))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(ALL))
    taken = client("sts").assume_role(RoleArn=role, RoleSessionName="writer")["Credentials"]
    as_role = boto3.Session(
        taken["AccessKeyId"], taken["SecretAccessKey"], taken["SessionToken"], region_name=session.region_name
    )
    return as_role.client("s3", endpoint_url=s3.meta.endpoint_url)


def refused(call, **request) -> str:
    with pytest.raises(ClientError) as refusal:
        call(**request)
    return refusal.value.response["Error"]["Code"]


def test_an_artifact_is_created_once_and_never_replaced(writer, bucket):
    assert refused(writer.put_object, Bucket=bucket, Key=KEY, Body=b"other") == "AccessDenied"
    writer.put_object(Bucket=bucket, Key=KEY, Body=b"first", IfNoneMatch="*")
    assert refused(writer.put_object, Bucket=bucket, Key=KEY, Body=b"other", IfNoneMatch="*") == "PreconditionFailed"
    assert refused(writer.put_object, Bucket=bucket, Key=KEY, Body=b"other") == "AccessDenied"
    assert refused(writer.delete_object, Bucket=bucket, Key=KEY) == "AccessDenied"
    version = writer.head_object(Bucket=bucket, Key=KEY)["VersionId"]
    assert refused(writer.delete_object, Bucket=bucket, Key=KEY, VersionId=version) == "AccessDenied"
    assert writer.get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"first"


def test_a_copy_without_the_condition_replaces_nothing(writer, bucket):
    writer.put_object(Bucket=bucket, Key="elsewhere", Body=b"other")
    source = {"Bucket": bucket, "Key": "elsewhere"}
    assert refused(writer.copy_object, Bucket=bucket, Key=KEY, CopySource=source) == "AccessDenied"


def test_a_multipart_upload_may_bring_parts_and_is_completed_only_under_the_condition(writer, bucket):
    upload = {"Bucket": bucket, "Key": KEY}
    upload["UploadId"] = writer.create_multipart_upload(**upload)["UploadId"]
    part = writer.upload_part(**upload, PartNumber=1, Body=b"parts")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    assert refused(writer.complete_multipart_upload, **upload, MultipartUpload=parts) == "AccessDenied"
    writer.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*")
    assert writer.get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"parts"


def test_other_keys_are_written_as_before(writer, bucket):
    for _ in range(2):
        writer.put_object(Bucket=bucket, Key="notes.txt", Body=b"again")
    writer.delete_object(Bucket=bucket, Key="notes.txt")


@pytest.mark.parametrize(
    ("action", "query", "headers", "condition", "creates"),
    [
        ("s3:PutObject", {}, {"if-none-match": "*"}, "*", "true"),
        ("s3:PutObject", {}, {}, None, "true"),
        ("s3:PutObject", {"uploads": [""]}, {}, None, "false"),
        ("s3:PutObject", {"uploadId": ["1"], "partNumber": ["1"]}, {}, None, "false"),
        ("s3:PutObject", {"uploadId": ["1"]}, {"if-none-match": "*"}, "*", "true"),
        ("s3:GetObject", {}, {"if-none-match": "*"}, None, None),
    ],
)
def test_a_policy_knows_what_creates_an_object_and_under_which_condition(
    module, action, query, headers, condition, creates
):
    actions = module("core.iam_actions")
    patches.install_condition_keys()
    context = actions._s3_object_context(action, query, "/bucket/key", headers)
    assert context.get("s3:if-none-match") == condition
    assert context.get("s3:ObjectCreationOperation") == creates
