"""What CreateTransformJob refuses at once, what a role may not do, and how jobs are listed."""

from __future__ import annotations

import pytest


@pytest.fixture
def run(client, transform_request, ended):
    def start_and_wait(uri, **changes):
        request = transform_request(uri, **changes)
        client("sagemaker").create_transform_job(**request)
        return ended(request["TransformJobName"])

    return start_and_wait


@pytest.fixture
def refused(client):
    def message(request):
        sagemaker = client("sagemaker")
        with pytest.raises(sagemaker.exceptions.ClientError) as error:
            sagemaker.create_transform_job(**request)
        return f"{error.value.response['Error']['Code']}: {error.value.response['Error']['Message']}"

    return message


def test_a_name_is_used_up_for_good(model, upload, transform_request, run, refused):
    model()
    uri = upload(a=b"a")
    run(uri)
    assert refused(transform_request(uri)).startswith("ResourceInUse: Job name must be unique within an AWS account")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ModelName": "unknown"}, "ValidationException: Could not find model"),
        ({"MaxConcurrentTransforms": 20, "MaxPayloadInMB": 6}, "must not exceed 100"),
        ({"BatchStrategy": "MultiRecord"}, "BatchStrategy MultiRecord needs a SplitType"),
        ({"TransformJobName": "under_score"}, "regular expression pattern"),
        ({"TransformResources": {"InstanceType": "ml.none", "InstanceCount": 1}}, "enum value set"),
        (
            {"TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 9}},
            "ResourceLimitExceeded: The account-level service limit 'ml.m5.xlarge for transform job usage' is 8",
        ),
    ],
)
def test_a_request_against_the_rules_is_refused(model, upload, transform_request, refused, changes, message):
    model()
    assert message in refused(transform_request(upload(a=b"a"), **changes))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"[]", "does not begin with"),
        (b'["in/a"]', "does not begin with"),
        (b'[{"prefix": "s3://b/in/"}]', "names no objects"),
        (b"[{'prefix': 's3://b/in/'}, 'a']", "is no JSON document"),
    ],
)
def test_a_manifest_that_names_nothing_is_refused(client, bucket, model, transform_request, refused, manifest, message):
    model()
    client("s3").put_object(Bucket=bucket, Key="in/manifest.json", Body=manifest)
    assert message in refused(transform_request(f"s3://{bucket}/in/manifest.json"))


def test_a_prefix_without_objects_is_refused_and_so_is_an_absent_manifest(bucket, model, transform_request, refused):
    model()
    answer = refused(transform_request(f"s3://{bucket}/in/none/", kind="S3Prefix"))
    assert answer.startswith("ValidationException: No S3 objects found under S3 URL")
    assert "Could not read the manifest" in refused(transform_request(f"s3://{bucket}/in/manifest.json"))


def test_a_role_that_may_not_list_looks_like_no_objects(
    client, bucket, artifact, role, upload, transform_request, refused, name
):
    upload(a=b"a")
    blind = role("sagemaker.amazonaws.com", ("s3:GetObject", f"arn:aws:s3:::{bucket}/*"))
    container = {"Image": "x", "ModelDataUrl": artifact}
    client("sagemaker").create_model(ModelName=name, ExecutionRoleArn=blind, PrimaryContainer=container)
    assert "No S3 objects found" in refused(transform_request(f"s3://{bucket}/in/", kind="S3Prefix"))


def test_a_role_that_may_not_write_fails_every_object(client, bucket, artifact, role, upload, run, outputs, name):
    reader = role(
        "sagemaker.amazonaws.com",
        ("s3:GetObject", f"arn:aws:s3:::{bucket}/*"),
        ("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
    )
    container = {"Image": "x", "ModelDataUrl": artifact}
    client("sagemaker").create_model(ModelName=name, ExecutionRoleArn=reader, PrimaryContainer=container)
    assert run(upload(a=b"a"))["TransformJobStatus"] == "Failed"
    assert outputs() == {}


def test_jobs_are_listed_newest_first_by_status_and_in_pages(client, model, upload, transform_request, ended, name):
    model()
    sagemaker, uri = client("sagemaker"), upload(a=b"a", b=b"status 500")
    for number in range(3):
        sagemaker.create_transform_job(**transform_request(uri, TransformJobName=f"{name}-{number}"))
    for number in range(3):
        ended(f"{name}-{number}")
    first = sagemaker.list_transform_jobs(NameContains=name, MaxResults=2)
    rest = sagemaker.list_transform_jobs(NameContains=name, NextToken=first["NextToken"])
    listed = [job["TransformJobName"] for job in first["TransformJobSummaries"] + rest["TransformJobSummaries"]]
    assert listed == [f"{name}-2", f"{name}-1", f"{name}-0"]
    assert "NextToken" not in rest
    failed = sagemaker.list_transform_jobs(NameContains=name, StatusEquals="Failed")
    assert len(failed["TransformJobSummaries"]) == 3
    assert sagemaker.list_transform_jobs(NameContains=name, StatusEquals="Completed")["TransformJobSummaries"] == []


# What a caller must be allowed.
CREATE = """
import boto3
def handler(request, context):
    boto3.client("sagemaker").create_transform_job(**request)
"""


@pytest.mark.parametrize("missing", ["transform-job", "model", "tags", None])
def test_a_function_needs_the_job_the_model_and_the_tags(
    model, upload, transform_request, function, invoke, name, ended, missing
):
    model()
    account = "arn:aws:sagemaker:us-east-1:000000000000"
    statements = {
        "transform-job": ("sagemaker:CreateTransformJob", f"{account}:transform-job/{name}"),
        "model": ("sagemaker:CreateTransformJob", f"{account}:model/{name}"),
        "tags": ("sagemaker:AddTags", f"{account}:transform-job/{name}"),
    }
    caller = function(CREATE, *(statement for key, statement in statements.items() if key != missing))
    document, failed = invoke(caller, transform_request(upload(a=b"a"), Tags=[{"Key": "a", "Value": "b"}]))
    if missing is None:
        assert not failed, document
        ended(name)
    else:
        assert "AccessDeniedException" in document["errorMessage"]
        action = "sagemaker:AddTags" if missing == "tags" else "sagemaker:CreateTransformJob"
        assert action in document["errorMessage"]
