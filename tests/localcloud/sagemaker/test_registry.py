"""Models, model package groups and model packages."""

from __future__ import annotations

import json

import pytest

ACCOUNT = "arn:aws:sagemaker:us-east-1:000000000000"


@pytest.fixture
def sagemaker(client):
    return client("sagemaker")


@pytest.fixture
def refusal(sagemaker):
    def message(operation, **request):
        with pytest.raises(sagemaker.exceptions.ClientError) as error:
            getattr(sagemaker, operation)(**request)
        return f"{error.value.response['Error']['Code']}: {error.value.response['Error']['Message']}"

    return message


@pytest.fixture
def group(sagemaker, name):
    sagemaker.create_model_package_group(ModelPackageGroupName=name.upper(), ModelPackageGroupDescription="models")
    return name.upper()


@pytest.fixture
def package(sagemaker, group, artifact):
    def make(**members):
        specification = {
            "Containers": [{"Image": "image", "ModelDataUrl": artifact}],
            "SupportedContentTypes": ["application/dicom"],
            "SupportedResponseMIMETypes": ["application/json"],
        }
        request = {"ModelPackageGroupName": group, "InferenceSpecification": specification, **members}
        return sagemaker.create_model_package(**request)["ModelPackageArn"]

    return make


def test_versions_count_up_and_are_listed_newest_first(sagemaker, group, package, name):
    arns = [package(ModelPackageDescription=f"number {number}") for number in (1, 2, 3)]
    assert arns == [f"{ACCOUNT}:model-package/{name}/{number}" for number in (1, 2, 3)]
    listed = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    assert [package["ModelPackageVersion"] for package in listed] == [3, 2, 1]
    assert {package["ModelApprovalStatus"] for package in listed} == {"PendingManualApproval"}
    sagemaker.delete_model_package(ModelPackageName=arns[2])
    assert package() == f"{ACCOUNT}:model-package/{name}/4"


def test_the_same_token_gives_the_same_version(package):
    token = "00000000-0000-4000-8000-000000000001"
    assert package(ClientToken=token) == package(ClientToken=token) != package()


def test_a_package_is_described_updated_and_announced(sagemaker, group, package, events_of):
    read = events_of("SageMaker Model Package State Change", "ModelPackageGroupName", group)
    arn = package(CustomerMetadataProperties={"sha256": "ab", "old": "1"})
    sagemaker.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="looks right",
        CustomerMetadataProperties={"accepted": "yes"},
        CustomerMetadataPropertiesToRemove=["old"],
    )
    description = sagemaker.describe_model_package(ModelPackageName=arn)
    assert description["ModelApprovalStatus"] == "Approved"
    assert description["ModelPackageStatus"] == "Completed"
    assert description["CustomerMetadataProperties"] == {"sha256": "ab", "accepted": "yes"}
    assert description["InferenceSpecification"]["Containers"][0]["Image"] == "image"
    approved = sagemaker.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    assert [summary["ModelPackageArn"] for summary in approved["ModelPackageSummaryList"]] == [arn]
    announced = [event["detail"]["ModelApprovalStatus"] for event in read()]
    assert sorted(announced) == ["Approved", "PendingManualApproval"]


def test_only_a_new_approval_status_is_announced(sagemaker, group, package, events_of):
    read = events_of("SageMaker Model Package State Change", "ModelPackageGroupName", group)
    statistics = {"ContentType": "application/json", "S3Uri": "s3://bucket/runs/1/evaluation/evaluation.json"}
    metrics = {"ModelQuality": {"Statistics": statistics}}
    arn = package(ModelMetrics=metrics, CustomerMetadataProperties={"Run": "0123456789ab"})
    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"Note": "x"})
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="PendingManualApproval")
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected", ApprovalDescription="too few")
    details = sorted((event["detail"] for event in read()), key=lambda detail: detail["ModelApprovalStatus"])
    assert [detail["ModelApprovalStatus"] for detail in details] == ["PendingManualApproval", "Rejected"]
    assert details[1]["ModelMetrics"] == metrics
    assert details[1]["ApprovalDescription"] == "too few"
    assert (details[1]["ModelPackageArn"], details[1]["ModelPackageVersion"]) == (arn, 1)
    assert details[1]["ModelPackageStatus"] == "Completed"


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"Risks": "one,two"}, "regular expression pattern"),
        ({"Risks": "x" * 257}, "less than or equal to 256"),
        ({"k" * 129: "x"}, "less than or equal to 128"),
        ({f"k{number}": "x" for number in range(51)}, "less than or equal to 50"),
    ],
)
def test_properties_keep_to_their_alphabet_and_length(package, sagemaker, properties, message):
    with pytest.raises(sagemaker.exceptions.ClientError, match=message):
        package(CustomerMetadataProperties=properties)


def test_what_cannot_be_updated_is_named(sagemaker, package, refusal):
    arn = package(CustomerMetadataProperties={f"k{number}": "x" for number in range(50)})
    update = {"ModelPackageArn": arn, "CustomerMetadataProperties": {"more": "x"}}
    assert "has 50 properties at most, not 51" in refusal("update_model_package", **update)
    assert "SourceUri of a model package" in refusal("update_model_package", ModelPackageArn=arn, SourceUri="s3://b/k")


def test_a_group_with_versions_cannot_be_deleted(sagemaker, group, package, refusal):
    arn = package()
    assert refusal("delete_model_package_group", ModelPackageGroupName=group).startswith("ConflictException")
    sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    assert "does not exist" in refusal("describe_model_package_group", ModelPackageGroupName=group)


def test_what_the_registry_refuses(group, package, refusal, name):
    assert "already exists" in refusal("create_model_package_group", ModelPackageGroupName=group)
    assert "does not exist" in refusal("create_model_package", ModelPackageGroupName="none")
    assert "versioned model packages only" in refusal("create_model_package", ModelPackageName=name)
    tags = [{"Key": "a", "Value": "b"}]
    assert "Tags are not allowed" in refusal("create_model_package", ModelPackageGroupName=group, Tags=tags)
    assert "does not exist" in refusal("describe_model_package", ModelPackageName=f"{ACCOUNT}:model-package/{name}/9")


def test_a_model_is_described_listed_and_deleted(sagemaker, model, name, refusal, job_role):
    model(A="1")
    description = sagemaker.describe_model(ModelName=name)
    assert description["ModelArn"] == f"{ACCOUNT}:model/{name}"
    assert description["PrimaryContainer"]["Environment"] == {"A": "1"}
    assert [found["ModelName"] for found in sagemaker.list_models(NameContains=name)["Models"]] == [name]
    container = description["PrimaryContainer"]
    request = {"ModelName": name, "ExecutionRoleArn": job_role, "PrimaryContainer": container}
    assert "already existing model" in refusal("create_model", **request)
    sagemaker.delete_model(ModelName=name)
    assert "Could not find model" in refusal("describe_model", ModelName=name)


def test_a_model_needs_a_role_that_sagemaker_may_assume_and_that_reads_the_artifact(role, artifact, refusal, name):
    container = {"Image": "image", "ModelDataUrl": artifact}
    elsewhere = role("lambda.amazonaws.com", ("s3:GetObject", "*"))
    blind = role("sagemaker.amazonaws.com")
    for arn, message in ((elsewhere, "Could not assume role"), (blind, "Could not access model data")):
        assert message in refusal("create_model", ModelName=name, ExecutionRoleArn=arn, PrimaryContainer=container)


def test_a_model_of_an_approved_package_runs(
    sagemaker, package, name, job_role, upload, transform_request, ended, refusal
):
    arn = package()
    request = {"ModelName": name, "ExecutionRoleArn": job_role, "PrimaryContainer": {"ModelPackageName": arn}}
    assert "is not approved" in refusal("create_model", **request)
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    sagemaker.create_model(**request)
    sagemaker.create_transform_job(**transform_request(upload(a=b"a")))
    assert ended(name)["TransformJobStatus"] == "Completed"


def test_a_role_that_is_not_to_be_passed_cannot_be_used(function, invoke, job_role, artifact, name):
    source = "import boto3\ndef handler(request, context): boto3.client('sagemaker').create_model(**request)"
    caller = function(source, ("sagemaker:CreateModel", "*"))
    container = {"Image": "image", "ModelDataUrl": artifact}
    request = {"ModelName": name, "ExecutionRoleArn": job_role, "PrimaryContainer": container}
    assert "iam:PassRole" in invoke(caller, request)[0]["errorMessage"]


def test_tags_can_be_added_and_taken_away(sagemaker, group, name):
    arn = sagemaker.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]


def test_cloudformation_makes_tags_and_deletes_a_group(client, sagemaker, name, until, refusal):
    group = {
        "Type": "AWS::SageMaker::ModelPackageGroup",
        "Properties": {"ModelPackageGroupName": name, "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]},
    }
    template = {"Resources": {"Group": group}, "Outputs": {"Arn": {"Value": {"Ref": "Group"}}}}
    stacks = client("cloudformation")

    def settled(status):
        return stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == status

    stacks.create_stack(StackName=name, TemplateBody=json.dumps(template))
    until(lambda: settled("CREATE_COMPLETE"))
    arn = stacks.describe_stacks(StackName=name)["Stacks"][0]["Outputs"][0]["OutputValue"]
    assert arn == f"{ACCOUNT}:model-package-group/{name}"
    assert sagemaker.describe_model_package_group(ModelPackageGroupName=name)["ModelPackageGroupArn"] == arn

    group["Properties"]["Tags"] = [{"Key": "b", "Value": "3"}]
    stacks.update_stack(StackName=name, TemplateBody=json.dumps(template))
    until(lambda: settled("UPDATE_COMPLETE"))
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "3"}]

    group["Properties"]["ModelPackageGroupDescription"] = "another"
    stacks.update_stack(StackName=name, TemplateBody=json.dumps(template))
    until(lambda: settled("UPDATE_ROLLBACK_COMPLETE"))

    stacks.delete_stack(StackName=name)
    until(lambda: "does not exist" in refusal("describe_model_package_group", ModelPackageGroupName=name))


def test_an_operation_that_is_not_here_is_said_so(sagemaker):
    with pytest.raises(sagemaker.exceptions.ClientError, match="This local SageMaker has no ListNotebookInstances"):
        sagemaker.list_notebook_instances()
