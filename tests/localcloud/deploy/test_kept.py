"""What a failed first deployment keeps: RetainExceptOnCreate is removed with it, Retain is not.

AWS CloudFormation User Guide, DeletionPolicy: "RetainExceptOnCreate behaves like Retain except for the stack operation
that initially creates the resource."
"""

from __future__ import annotations

import pytest

from localcloud.deploy.deploy import Deployer, DeployError


@pytest.fixture
def deploy(here, session, tmp_path, name, assembly):
    def run(part, resources):
        assembly(tmp_path / part, {"Resources": resources}, f"{name}-stack")
        return Deployer(session, here.endpoint, lambda _sentence: None).deploy(tmp_path / part)

    return run


@pytest.fixture
def resources(name):
    """A queue, a group of model packages and a bucket that are kept by `policy`."""

    def make(policy):
        kept = {
            "Queue": ("AWS::SQS::Queue", {"QueueName": f"{name}-{policy}"}),
            "Group": ("AWS::SageMaker::ModelPackageGroup", {"ModelPackageGroupName": f"{name}-{policy}"}),
            "Bucket": ("AWS::S3::Bucket", {"BucketName": f"{name}-{policy.lower()}"}),
        }
        return {
            f"{policy}{identifier}": {"Type": kind, "DeletionPolicy": policy, "Properties": properties}
            for identifier, (kind, properties) in kept.items()
        }

    return make


def _failing(*after):
    properties = {"ModelPackageGroupName": "no such name"}
    return {"Wrong": {"Type": "AWS::SageMaker::ModelPackageGroup", "DependsOn": list(after), "Properties": properties}}


def _there(client, name, policy):
    queues = client("sqs").list_queues(QueueNamePrefix=f"{name}-{policy}").get("QueueUrls", [])
    groups = client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
    buckets = client("s3").list_buckets()["Buckets"]
    return (
        any(url.endswith(f"/{name}-{policy}") for url in queues),
        f"{name}-{policy}" in {group["ModelPackageGroupName"] for group in groups},
        f"{name}-{policy.lower()}" in {bucket["Name"] for bucket in buckets},
    )


def test_a_failed_first_deployment_removes_what_is_retained_except_on_create(deploy, resources, client, name):
    template = resources("RetainExceptOnCreate") | resources("Retain")
    with pytest.raises(DeployError):
        deploy("first", template | _failing(*template))
    assert _there(client, name, "RetainExceptOnCreate") == (False, False, False)
    assert _there(client, name, "Retain") == (True, True, True)


def test_after_it_a_second_deployment_succeeds_and_its_end_keeps_everything(deploy, resources, client, name, until):
    template = resources("RetainExceptOnCreate")
    with pytest.raises(DeployError):
        deploy("first", template | _failing(*template))
    (stack,) = deploy("second", template)
    client("cloudformation").delete_stack(StackName=stack)
    active = ["CREATE_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_FAILED"]

    def stacks():
        listed = client("cloudformation").list_stacks(StackStatusFilter=active)["StackSummaries"]
        return [summary for summary in listed if summary["StackName"] == stack]

    until(lambda: not stacks())
    assert _there(client, name, "RetainExceptOnCreate") == (True, True, True)


def test_a_group_that_exists_already_makes_the_deployment_fail(deploy, client, name):
    client("sagemaker").create_model_package_group(ModelPackageGroupName=name)
    group = {"Type": "AWS::SageMaker::ModelPackageGroup", "Properties": {"ModelPackageGroupName": name}}
    with pytest.raises(DeployError, match=r"Group .*already exist"):
        deploy("only", {"Group": group})
    assert client("sagemaker").describe_model_package_group(ModelPackageGroupName=name)
