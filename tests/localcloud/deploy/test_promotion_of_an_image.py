"""A stage with an image of OCI: its run ends with the cause and the remedy, and the remedy works without training."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from functions.domain import layout
from infra.app import synthesise_config
from infra.config import load_stage
from localcloud.deploy.deploy import Deployer
from localcloud.deploy.images import DOCKER, OCI
from tests.fakes.workflow import Workflow
from wetread.connection import Connection
from wetread.training.run_report import advice, failure
from wetread.training.runs import Run

IMAGES = "000000000000.dkr.ecr.us-east-1.amazonaws.com/images"


@pytest.fixture
def deploy(here, tmp_path):
    """Deploy the stage with an image by its tag; return the connection of a person."""

    def deployed(tag: str) -> Connection:
        settings = {"service_name": "images", "image_uri": f"{IMAGES}:{tag}", "protect_data": False}
        assembly = synthesise_config(tmp_path / tag, load_stage({"images": settings}, "images"))
        Deployer(here.session(), here.endpoint, lambda _: None).deploy(assembly)
        return Connection(here.session(), lambda: "", "Images", local=True)

    return deployed


@pytest.fixture
def pushed(client):
    """Record an image with this kind of manifest and tag in ECR."""
    client("ecr").create_repository(repositoryName="images")

    def push(kind: str, tag: str) -> None:
        manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "annotations": {"tag": tag}})
        client("ecr").put_image(
            repositoryName="images", imageManifest=manifest, imageManifestMediaType=kind, imageTag=tag
        )

    return push


def passed(connection: Connection) -> dict[str, Any]:
    """Put what a run that passed both gates left into the training bucket; return the workflow's event for Promote."""
    made, bucket = Workflow(), connection.deployment.training_bucket_name
    taken = made.take(made.put_cohort())
    _, key = layout.parse_uri(made.train(taken))
    written = made.world.s3.objects
    body = next(one for (_, name), one in written.items() if name == key)
    evaluation = next(one for (_, name), one in written.items() if name == layout.evaluation_key(taken["Run"]))
    connection.s3.put_object(Bucket=bucket, Key=key, Body=body)
    connection.s3.put_object(Bucket=bucket, Key=layout.evaluation_key(taken["Run"]), Body=evaluation)
    verdict = json.dumps({"Reasons": []})
    connection.s3.put_object(Bucket=bucket, Key=layout.model_gate_key(taken["Run"]), Body=verdict)
    return {
        "Snapshot": taken,
        "TrainingJobName": "images-train-1",
        "ModelArtifactUri": layout.uri(bucket, key),
        "ModelArtifactSHA256": hashlib.sha256(body).hexdigest(),
    }


def ended(connection: Connection, payload: dict[str, Any], name: str, until: Any) -> Run:
    """Run the deployed workflow's last states, from Promote, with its role; return the run that ended."""
    workflow = connection.stepfunctions
    machine = workflow.describe_state_machine(stateMachineArn=connection.deployment.training_state_machine_arn)
    definition = json.loads(machine["definition"])
    definition["States"][definition["StartAt"]]["Next"] = "Promote"
    definition["States"]["Promote"]["Arguments"]["Payload"] = payload
    tail = workflow.create_state_machine(name=name, definition=json.dumps(definition), roleArn=machine["roleArn"])
    arn = workflow.start_execution(stateMachineArn=tail["stateMachineArn"], input="{}")["executionArn"]
    until(lambda: workflow.describe_execution(executionArn=arn)["status"] != "RUNNING", seconds=120)
    found = workflow.describe_execution(executionArn=arn)
    return Run(
        name=name,
        arn=arn,
        status=found["status"],
        started=found["startDate"],
        output=json.loads(found.get("output") or "{}"),
        error=found.get("error", ""),
        cause=found.get("cause", ""),
    )


@pytest.mark.timeout(400)
def test_a_run_with_an_image_of_oci_ends_with_its_cause_and_its_candidate_is_promoted_with_dockers(
    deploy, pushed, name, until
):
    pushed(OCI, "oci")
    connection = deploy("oci")
    run = ended(connection, passed(connection), name, until)
    assert (run.outcome, run.error) == ("Failed", "PromotionRefused"), run
    assert f"no model of the image {IMAGES}:oci: its manifest has the type {OCI}" in failure(run)
    assert "Build the image with docker's manifest" in failure(run)
    assert "promote images/1, which is registered" in failure(run)
    assert "without training again" in advice(run, [], "wetread")[0]
    assert connection.registry.champion() is None

    pushed(DOCKER, "docker")
    champion = deploy("docker").registry.promote("images/1")
    assert connection.registry.champion() == champion
