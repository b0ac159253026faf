"""The image asset of a deployment is in ECR with the manifest that docker gives it, and CreateModel has its rule."""

from __future__ import annotations

import json
import uuid

import pytest

from localcloud.deploy.deploy import Deployer
from localcloud.deploy.images import DOCKER, OCI

REPOSITORY = "cdk-container-assets-${AWS::AccountId}-${AWS::Region}"
RESOLVED = "cdk-container-assets-000000000000-us-east-1"


@pytest.fixture
def image(here, session, tmp_path, name, assembly):
    """Deploy an assembly with an image asset of these `dockerOutputs`; return the image's tag."""

    def deploy(outputs):
        tag = uuid.uuid4().hex
        folder = tmp_path / tag
        assembly(folder, {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}, f"{name}{tag[:4]}")
        file = folder / f"{name}{tag[:4]}.assets.json"
        source = {"directory": "asset", **({"dockerOutputs": outputs} if outputs else {})}
        destinations = {"current": {"repositoryName": REPOSITORY, "imageTag": tag}}
        images = {tag: {"source": source, "destinations": destinations}}
        file.write_text(json.dumps({**json.loads(file.read_text()), "dockerImages": images}))
        Deployer(session, here.endpoint, lambda _sentence: None).deploy(folder)
        return tag

    return deploy


def _described(client, tag):
    (found,) = client("ecr").describe_images(repositoryName=RESOLVED, imageIds=[{"imageTag": tag}])["imageDetails"]
    return found["imageManifestMediaType"]


@pytest.fixture
def create_model(client, bucket, role, name):
    """Create a Model of an image by its tag."""
    client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=b"")
    reads = role("sagemaker.amazonaws.com", ("s3:GetObject", f"arn:aws:s3:::{bucket}/*"))

    def create(reference):
        uri = f"000000000000.dkr.ecr.us-east-1.amazonaws.com/{RESOLVED}{reference}"
        container = {"Image": uri, "ModelDataUrl": f"s3://{bucket}/model.tar.gz"}
        model = f"{name}-{uuid.uuid4().hex[:6]}"
        return client("sagemaker").create_model(ModelName=model, PrimaryContainer=container, ExecutionRoleArn=reads)

    return create


@pytest.mark.parametrize("outputs", [None, ["type=image"], ["type=image,oci-mediatypes=true"]])
def test_an_image_as_docker_builds_it_makes_no_model(image, create_model, client, outputs):
    tag = image(outputs)
    assert _described(client, tag) == OCI
    details = client("ecr").describe_images(repositoryName=RESOLVED, imageIds=[{"imageTag": tag}])["imageDetails"]
    for reference in (f":{tag}", f"@{details[0]['imageDigest']}"):
        with pytest.raises(client("sagemaker").exceptions.ClientError) as error:
            create_model(reference)
        assert error.value.response["Error"] == {
            "Code": "ValidationException",
            "Message": "Unsupported manifest media type application/vnd.oci.image.manifest.v1+json",
        }


def test_an_image_with_dockers_manifest_makes_a_model(image, create_model, client):
    tag = image(["type=image,oci-mediatypes=false"])
    assert _described(client, tag) == DOCKER
    assert create_model(f":{tag}")["ModelArn"]
