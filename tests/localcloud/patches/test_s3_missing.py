"""A missing object is 403 to a caller who may not list its bucket, 404 to one who may."""

from __future__ import annotations

import json

import boto3
import pytest
from botocore.exceptions import ClientError

MISSING = "in/missing.dcm"


@pytest.fixture
def reader(client, here, role, bucket):
    """Make an S3 client of a role that may read the bucket's objects and has `statements` besides."""

    def make(*statements):
        arn = role(
            "sagemaker.amazonaws.com",
            *((f"s3:{action}", f"arn:aws:s3:::{bucket}/*") for action in ("GetObject", "GetObjectVersion")),
        )
        name = arn.rpartition("/")[2]
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        client("iam").update_assume_role_policy(RoleName=name, PolicyDocument=document)
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
            client("iam").put_role_policy(RoleName=name, PolicyName="more", PolicyDocument=policy)
        keys = client("sts").assume_role(RoleArn=arn, RoleSessionName="reader")["Credentials"]
        return boto3.client(
            "s3",
            endpoint_url=here.endpoint,
            region_name="us-east-1",
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )

    return make


def _listing(bucket, **condition):
    statement = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"}
    return {**statement, "Condition": condition} if condition else statement


def _refusal(call, **request):
    with pytest.raises(ClientError) as error:
        call(**request)
    response = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


@pytest.mark.parametrize("version", [{}, {"VersionId": "abcdefgh"}])
def test_who_may_not_list_the_bucket_is_denied_a_missing_object(reader, bucket, version):
    s3 = reader()
    assert _refusal(s3.get_object, Bucket=bucket, Key=MISSING, **version) == (403, "AccessDenied")
    assert _refusal(s3.head_object, Bucket=bucket, Key=MISSING, **version) == (403, "403")  # HEAD has no body


def test_a_permission_to_list_a_prefix_is_none_for_an_object(reader, bucket):
    s3 = reader(_listing(bucket, StringLike={"s3:prefix": ["in/*", "in/missing.dcm"]}))
    assert _refusal(s3.get_object, Bucket=bucket, Key=MISSING) == (403, "AccessDenied")
    assert _refusal(s3.head_object, Bucket=bucket, Key=MISSING) == (403, "403")


def test_who_may_list_the_bucket_sees_that_an_object_is_missing(reader, bucket):
    s3 = reader(_listing(bucket))
    assert _refusal(s3.get_object, Bucket=bucket, Key=MISSING) == (404, "NoSuchKey")
    assert _refusal(s3.head_object, Bucket=bucket, Key=MISSING) == (404, "404")


def test_a_deleted_object_is_as_missing_as_one_that_never_was(reader, client, bucket):
    client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client("s3").put_object(Bucket=bucket, Key="a", Body=b"a")
    s3 = reader()
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"a"
    client("s3").delete_object(Bucket=bucket, Key="a")
    assert _refusal(s3.get_object, Bucket=bucket, Key="a") == (403, "AccessDenied")
    assert _refusal(s3.head_object, Bucket=bucket, Key="a") == (403, "403")
