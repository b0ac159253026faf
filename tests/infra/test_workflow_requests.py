"""The state machine's requests to SageMaker: valid, for the run's own slices, isolated and encrypted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.validate import ParamValidator

from model_code.container import Processing
from tests.infra.runs import BUCKET, CHAMPION, OPTIMISED, OPTIMISED_SHA256, RUN, SNAPSHOT, TRAINED, TRAINED_DIGEST, walk


@pytest.mark.parametrize(
    ("state", "operation"),
    [
        ("Audit", "CreateProcessingJob"),
        ("Train", "CreateTrainingJob"),
        ("Optimise", "CreateProcessingJob"),
        ("Evaluate", "CreateProcessingJob"),
    ],
)
def test_a_request_is_valid_for_sagemaker(machine: dict[str, Any], state: str, operation: str) -> None:
    request = walk(machine, {"Snapshot": SNAPSHOT | {"Champion": CHAMPION}}).arguments[state]
    shape = botocore.session.get_session().get_service_model("sagemaker").operation_model(operation).input_shape
    assert not ParamValidator().validate(request, shape).generate_report()
    assert not list(_mismatches(request, shape, operation))


def _mismatches(value: Any, shape: Shape, path: str) -> Any:
    """Yield texts that do not match the pattern or the choices of their shape, which botocore leaves to the service."""
    if isinstance(shape, StructureShape):
        for name, one in value.items():
            yield from _mismatches(one, shape.members[name], f"{path}.{name}")
    elif isinstance(shape, ListShape):
        for one in value:
            yield from _mismatches(one, shape.member, path)
    elif isinstance(shape, MapShape):
        for one in value.values():
            yield from _mismatches(one, shape.value, path)
    elif isinstance(value, str):
        pattern, choices = shape.metadata.get("pattern"), shape.metadata.get("enum")
        if (pattern and not re.fullmatch(pattern, value)) or (choices and value not in choices):
            yield f"{path}: {value}"


def test_training_gets_the_snapshot_and_the_values_of_the_run_win(machine: dict[str, Any]) -> None:
    request = walk(machine).arguments["Train"]
    assert request["HyperParameters"] == {"epochs": "40", "model_version": RUN, "seed": "7"}
    channels = {one["ChannelName"]: one["DataSource"]["S3DataSource"] for one in request["InputDataConfig"]}
    assert channels == {
        "slices": {"S3DataType": "ManifestFile", "S3Uri": SNAPSHOT["SlicesManifestUri"]},
        "snapshot": {"S3DataType": "S3Prefix", "S3Uri": SNAPSHOT["SnapshotUri"]},
    }
    assert request["OutputDataConfig"]["S3OutputPath"] == f"s3://{BUCKET}/runs/{RUN}/training"
    assert request["CheckpointConfig"]["S3Uri"] == f"s3://{BUCKET}/checkpoints/{RUN}"


def test_training_gets_the_weights_that_it_is_to_start_from(machine: dict[str, Any]) -> None:
    uri = f"s3://{BUCKET}/runs/{RUN}/initial-weights/{'a' * 32}/"
    request = walk(machine, {"Snapshot": SNAPSHOT | {"InitialWeightsUri": uri}}).arguments["Train"]
    assert [one["ChannelName"] for one in request["InputDataConfig"]] == ["slices", "snapshot", "initial-weights"]
    assert request["InputDataConfig"][2]["DataSource"] == {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}


def test_hyperparameters_may_be_left_out(machine: dict[str, Any]) -> None:
    request = walk(machine, {"Snapshot": SNAPSHOT | {"HyperParameters": {}}}).arguments["Train"]
    assert request["HyperParameters"] == {"model_version": RUN, "seed": "7"}


TRAINED_ON = {"SnapshotUri": f"s3://{BUCKET}/runs/ba9876543210/snapshot.json"}
REFERENCE = {"ArtifactUri": "s3://wetread-models/artifacts/1/model.tar.gz", "ArtifactSHA256": "e" * 64}
RIVALS = {"Champion": CHAMPION | TRAINED_ON, "Reference": REFERENCE | TRAINED_ON}


@pytest.mark.parametrize(
    ("rivals", "compared"),
    [
        ({"Champion": {}}, []),
        ({"Champion": CHAMPION}, ["champion"]),
        (RIVALS, ["champion", "champion-snapshot", "reference", "reference-snapshot"]),
    ],
)
def test_a_candidate_is_compared_with_champion_and_reference_if_there_are_any(
    machine: dict[str, Any], rivals: dict[str, Any], compared: list[str]
) -> None:
    arguments = walk(machine, {"Snapshot": SNAPSHOT | rivals}).arguments
    inputs = {one["InputName"]: one["S3Input"] for one in arguments["Evaluate"]["ProcessingInputs"]}
    assert list(inputs) == ["snapshot", "slices", "candidate", *compared]
    assert inputs["candidate"]["S3Uri"] == OPTIMISED
    uris = {"champion": CHAMPION["ArtifactUri"], "reference": REFERENCE["ArtifactUri"]}
    assert [inputs[name]["S3Uri"] for name in compared] == [
        uris.get(one, TRAINED_ON["SnapshotUri"]) for one in compared
    ]
    assert {one["LocalPath"] for one in inputs.values()} == {f"/opt/ml/processing/input/{name}" for name in inputs}
    assert [one["InputName"] for one in arguments["Audit"]["ProcessingInputs"]] == ["snapshot", "slices"]


def test_the_trained_artifact_is_optimised_and_the_result_evaluated_and_promoted(machine: dict[str, Any]) -> None:
    arguments = walk(machine).arguments
    inputs = {one["InputName"]: one["S3Input"]["S3Uri"] for one in arguments["Optimise"]["ProcessingInputs"]}
    assert list(inputs) == ["snapshot", "slices", "candidate"]
    assert inputs["candidate"] == TRAINED["ModelArtifacts"]["S3ModelArtifacts"]
    (output,) = arguments["Optimise"]["ProcessingOutputConfig"]["Outputs"]
    assert f"{output['S3Output']['S3Uri']}/{Processing(Path()).optimised.name}" == OPTIMISED
    assert arguments["Promote"]["Payload"]["ModelArtifactUri"] == OPTIMISED
    assert arguments["Promote"]["Payload"]["ModelArtifactSHA256"] == OPTIMISED_SHA256


@pytest.mark.parametrize(
    ("rivals", "more"),
    [
        ({"Champion": {}}, []),
        ({"Champion": CHAMPION}, ["--champion-sha256", "c" * 64]),
        (RIVALS, ["--champion-sha256", "c" * 64, "--reference-sha256", "e" * 64]),
    ],
)
def test_an_evaluated_artifact_is_known_by_its_digest_and_not_by_its_uri_alone(
    machine: dict[str, Any], rivals: dict[str, Any], more: list[str]
) -> None:
    arguments = walk(machine, {"Snapshot": SNAPSHOT | rivals}).arguments
    command, *options = arguments["Evaluate"]["AppSpecification"]["ContainerArguments"]
    given = ["--report-pictures", "if_no", "--candidate-sha256", OPTIMISED_SHA256, "--attempt", "3"]
    assert (command, options) == ("evaluate", [*given, *more])


def test_the_optimised_artifact_is_known_by_the_digest_that_the_training_job_reported(machine: dict[str, Any]) -> None:
    command = walk(machine).arguments["Optimise"]["AppSpecification"]["ContainerArguments"]
    assert command == ["optimise", "--trained", TRAINED_DIGEST]


@pytest.mark.parametrize("metrics", [{}, {"FinalMetricDataList": []}])
def test_a_training_job_that_reports_no_digest_ends_the_run(machine: dict[str, Any], metrics: dict[str, Any]) -> None:
    answer = {name: value for name, value in TRAINED.items() if name != "FinalMetricDataList"} | metrics
    with pytest.raises(AssertionError, match=r"undefined: .*FinalMetricDataList"):
        walk(machine, {"Train": answer})


def test_an_optimisation_that_reports_no_digest_ends_the_run(machine: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match=r"undefined: \$states.result.ExitMessage"):
        walk(machine, {"Optimise": {}})


@pytest.mark.parametrize(
    ("state", "command", "folder"),
    [("Audit", "audit", "audit"), ("Optimise", "optimise", "optimised"), ("Evaluate", "evaluate", "evaluation")],
)
def test_a_processing_job_runs_its_command_and_keeps_its_documents(
    machine: dict[str, Any], state: str, command: str, folder: str
) -> None:
    request = walk(machine).arguments[state]
    assert request["AppSpecification"]["ContainerArguments"][0] == command
    (output,) = request["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3Uri"] == f"s3://{BUCKET}/runs/{RUN}/{folder}"
    assert output["S3Output"]["LocalPath"] == f"/opt/ml/processing/output/{folder}"


def test_jobs_run_isolated_and_encrypted(machine: dict[str, Any]) -> None:
    arguments = walk(machine).arguments
    key = "arn:aws:kms:eu-west-1:111122223333:key/0"
    train = arguments["Train"]
    assert train["EnableNetworkIsolation"] is True
    assert (train["OutputDataConfig"]["KmsKeyId"], train["ResourceConfig"]["VolumeKmsKeyId"]) == (key, key)
    for state in ("Audit", "Optimise", "Evaluate"):
        request = arguments[state]
        assert request["NetworkConfig"] == {"EnableNetworkIsolation": True}
        assert request["ProcessingOutputConfig"]["KmsKeyId"] == key
        assert request["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] == key


def test_a_retried_job_has_another_name(machine: dict[str, Any]) -> None:
    def names(retry_count: int) -> set[str]:
        arguments = walk(machine, retry_count=retry_count).arguments
        jobs = ("TrainingJobName", "ProcessingJobName")
        return {one[key] for one in arguments.values() for key in jobs if key in one}

    assert names(0) == {f"wetread-{purpose}-{RUN}-0" for purpose in ("audit", "train", "optimise", "evaluate")}
    assert names(35) == {f"wetread-{purpose}-{RUN}-35" for purpose in ("audit", "train", "optimise", "evaluate")}
