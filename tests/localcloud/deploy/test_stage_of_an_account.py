"""A stage with what an account may demand, deployed: boundary, tags, VPC, a given key and a given uploads bucket."""

from __future__ import annotations

import json

import pytest

from functions.aws.index import row_in
from functions.domain.row import Status
from infra.app import synthesise_config
from infra.config import load_stage
from localcloud.deploy.deploy import Deployer
from tests.fakes.dicom import ct

SETTINGS = {
    "service_name": "hospital",
    "image_uri": "local/wetread:latest",
    "permissions_boundary": "hospital-boundary",
    "tags": {"CostCentre": "4711"},
    "subnet_ids": ["subnet-0a1b2c3d4e5f60718", "subnet-0a1b2c3d4e5f60719"],
    "security_group_ids": ["sg-0a1b2c3d4e5f60718"],
    "uploads_bucket": "hospital-dicom",
    "protect_data": False,
}


@pytest.fixture
def deployed(here, client, tmp_path):
    """Return the outputs of the stage, in an account that has a boundary, a key and a bucket."""
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    client("iam").create_policy(PolicyName="hospital-boundary", PolicyDocument=json.dumps(everything))
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    client("s3").create_bucket(Bucket="hospital-dicom")
    client("s3").put_bucket_versioning(Bucket="hospital-dicom", VersioningConfiguration={"Status": "Enabled"})
    client("s3").put_bucket_notification_configuration(
        Bucket="hospital-dicom", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    config = load_stage({"hospital": SETTINGS | {"data_key_arn": key, "uploads_key_arn": key}}, "hospital")
    assembly = synthesise_config(tmp_path, config)
    assert Deployer(here.session(), here.endpoint, lambda _: None).deploy(assembly) == ["Hospital"]
    (stack,) = client("cloudformation").describe_stacks(StackName="Hospital")["Stacks"]
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]} | {"Key": key}


@pytest.mark.timeout(300)
def test_an_upload_to_the_given_bucket_becomes_a_row(deployed, client, until):
    assert deployed["UploadsBucketName"] == "hospital-dicom"
    assert deployed["DataKeyArn"] == deployed["Key"]
    client("s3").put_object(Bucket="hospital-dicom", Key="ward-7/a b.dcm", Body=ct())
    (row,) = until(lambda: client("dynamodb").scan(TableName=deployed["IndexTableName"])["Items"])
    assert (row_in(row).key, row_in(row).status) == ("ward-7/a b.dcm", Status.PENDING), row
    role = client("iam").get_role(RoleName=deployed["JobRoleArn"].rpartition("/")[2])["Role"]
    assert {tag["Key"] for tag in role["Tags"]} >= {"CostCentre"}


@pytest.mark.timeout(300)
def test_a_model_keeps_its_network_and_its_tags(client, role, bucket, name):
    client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=b"artifact")
    network = {"Subnets": SETTINGS["subnet_ids"], "SecurityGroupIds": SETTINGS["security_group_ids"]}
    made = client("sagemaker").create_model(
        ModelName=name,
        PrimaryContainer={"Image": "local/example", "ModelDataUrl": f"s3://{bucket}/model.tar.gz"},
        ExecutionRoleArn=role("sagemaker.amazonaws.com", ("s3:GetObject", f"arn:aws:s3:::{bucket}/*")),
        EnableNetworkIsolation=True,
        VpcConfig=network,
        Tags=[{"Key": "CostCentre", "Value": "4711"}],
    )
    assert client("sagemaker").describe_model(ModelName=name)["VpcConfig"] == network
    assert client("sagemaker").list_tags(ResourceArn=made["ModelArn"])["Tags"] == [
        {"Key": "CostCentre", "Value": "4711"}
    ]
