from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from infra.config import StageConfig
from infra.model_hosting import ModelHosting

PULL = {"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}


def test_without_an_image_uri_the_image_is_built_from_model_code_at_deployment(default: Any) -> None:
    (image,) = json.loads((default.directory / "Wetread.assets.json").read_text())["dockerImages"].values()
    assert image["source"]["platform"] == "linux/amd64"
    context = default.directory / image["source"]["directory"]
    dockerfile = (context / image["source"]["dockerFile"]).read_text()
    assert all((context / folder).is_dir() for folder in re.findall(r"^COPY (\w+) \w+/$", dockerfile, re.MULTILINE))
    assert {path.name for path in context.iterdir()} == {"aggregation", "express", "model_code", "untrusted"}
    assert not list(context.rglob("__pycache__"))
    pulled_from = {resource for action, resource in default.permissions("ModelJob") if action in PULL}
    assert len(pulled_from) == 1
    assert "*" not in pulled_from.pop()


def test_the_image_is_built_with_the_manifest_that_create_model_takes(default: Any) -> None:
    """A current docker pushes OCI manifests: training accepts them, CreateModel does not."""
    (image,) = json.loads((default.directory / "Wetread.assets.json").read_text())["dockerImages"].values()
    assert image["source"]["dockerOutputs"] == ["type=image,oci-mediatypes=false"]


def test_the_image_is_built_with_the_torch_of_the_given_index(tmp_path: Path, default: Any) -> None:
    app = cdk.App(outdir=str(tmp_path))
    ModelHosting(cdk.Stack(app, "Stack"), "Model", config=StageConfig(torch_index_url="https://index/cpu"))
    app.synth()
    assets = [tmp_path / "Stack.assets.json", default.directory / "Wetread.assets.json"]
    named, plain = (next(iter(json.loads(path.read_text())["dockerImages"].values()))["source"] for path in assets)
    (argument,) = named["dockerBuildArgs"]
    assert plain["dockerBuildArgs"] == {argument: "https://download.pytorch.org/whl/cpu"}
    assert f"ARG {argument}=" in (default.directory / plain["directory"] / plain["dockerFile"]).read_text()
    assert named["dockerBuildArgs"][argument] == "https://index/cpu"


def test_a_given_image_is_used_as_it_is(local: Any) -> None:
    assert local.template["Outputs"]["ImageUri"]["Value"] == "local/wetread:latest"
    assert not json.loads((local.directory / "Wetread.assets.json").read_text())["dockerImages"]


@pytest.mark.parametrize("tag", [":1.2.3", "@sha256:" + "0" * 64, ""])
def test_a_job_may_pull_the_given_image_from_its_repository(tmp_path: Path, tag: str) -> None:
    stack = cdk.Stack(cdk.App(outdir=str(tmp_path)), "Stack")
    uri = f"111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/wetread{tag}"
    assert ModelHosting(stack, "Model", config=StageConfig(image_uri=uri)).image_uri == uri
    policies = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    assert len(policies) == 2, "of jobs and of an endpoint"
    for policy in policies:
        statements = policy["Properties"]["PolicyDocument"]["Statement"]
        (pull,) = (one for one in statements if "ecr:BatchGetImage" in one["Action"])
        assert set(pull["Action"]) == PULL
        assert "ecr:eu-west-1:111122223333:repository/team/wetread" in json.dumps(pull["Resource"])


def test_a_job_may_write_its_log_and_its_metrics(default: Any) -> None:
    permissions = default.permissions("ModelJob")
    (logs,) = {resource for action, resource in permissions if action.startswith("logs:")}
    assert logs.endswith(":log-group:/aws/sagemaker/TransformJobs*")
    (metrics,) = (one for one in default.statements("ModelJob") if one["Action"] == "cloudwatch:PutMetricData")
    assert metrics["Condition"] == {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}}


def test_the_stack_has_the_group_of_models_but_no_model(default: Any) -> None:
    (group,) = default.of_type("AWS::SageMaker::ModelPackageGroup").values()
    assert group["ModelPackageGroupName"] == "wetread"
    types = {resource["Type"] for resource in default.template["Resources"].values()}
    assert not {"AWS::SageMaker::Model", "AWS::SageMaker::ModelPackage"} & types
