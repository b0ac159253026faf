"""Differences between stages in the requests to SageMaker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from functions.settings import hints_of
from infra.config import StageConfig
from infra.job_requests import DIGESTS, METRICS, NUMBER, JobRequests
from infra.validation import JOB_NAME_ROOM, bound_of
from model_code.__main__ import _parser
from model_code.artifacts import seal
from model_code.evaluation.pictures import ReportPictures


@pytest.fixture
def requests(tmp_path: Path) -> Any:
    def make(**overrides: Any) -> JobRequests:
        stack = cdk.Stack(cdk.App(outdir=str(tmp_path)), "Stack")
        return JobRequests(
            config=StageConfig(image_uri="wetread:1", **overrides),
            image_uri="wetread:1",
            job_role=iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com")),
            key=kms.Key(stack, "Key"),
            folder="s3://training/runs/",
            checkpoints="s3://bucket/checkpoints/",
        )

    return make


def test_spot_hosts_are_waited_for_as_long_as_the_stage_says(requests: Any) -> None:
    plain = requests(training_max_seconds=3600).training()
    assert plain["EnableManagedSpotTraining"] is False
    assert plain["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600}
    spot = requests(training_spot=True, training_max_seconds=3600, training_max_wait_seconds=7200).training()
    assert spot["EnableManagedSpotTraining"] is True
    assert spot["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200}
    assert spot["CheckpointConfig"] == plain["CheckpointConfig"], (
        "an interrupted training continues from its checkpoint"
    )


def test_hosts_that_train_together_encrypt_their_traffic(requests: Any) -> None:
    assert "EnableInterContainerTrafficEncryption" not in requests().training()
    together = requests(training_instance_count=2).training()
    assert together["ResourceConfig"]["InstanceCount"] == 2
    assert together["EnableInterContainerTrafficEncryption"] is True


@pytest.mark.parametrize("instance_type", ["ml.g5.2xlarge", "ml.g4dn.xlarge", "ml.p4d.24xlarge", "ml.r5d.large"])
def test_a_host_with_local_disks_gets_no_key_for_a_volume(requests: Any, instance_type: str) -> None:
    cluster = requests(training_instance_type=instance_type, training_volume_gb=80).training()["ResourceConfig"]
    assert cluster == {"InstanceType": instance_type, "InstanceCount": 1, "VolumeSizeInGB": 80}


def test_a_stage_can_forbid_8_bit_integers(requests: Any) -> None:
    def arguments(**settings: Any) -> Any:
        return requests(**settings).optimisation()["AppSpecification"]["ContainerArguments"]

    trained = ["--trained", "{% $training.Digest %}"]
    assert arguments() == ["optimise", *trained]
    assert arguments(quantise=False) == ["optimise", *trained, "--fp32-only"]


def test_a_stage_chooses_the_pictures_of_a_report_and_the_container_knows_each_choice(requests: Any) -> None:
    choices = bound_of(hints_of(StageConfig)["report_pictures"]).choices
    for choice in choices:
        arguments = requests(report_pictures=choice).evaluation()["AppSpecification"]["ContainerArguments"]
        assert f"['evaluate', '--report-pictures', '{choice}', " in arguments
        words = ["evaluate", "--candidate-sha256", "ab", "--report-pictures", choice]
        assert ReportPictures(_parser().parse_args(words).report_pictures) == choice
        audited = requests(report_pictures=choice).audit()["AppSpecification"]["ContainerArguments"]
        assert ReportPictures(_parser().parse_args(audited).report_pictures) == choice
    assert StageConfig().report_pictures == _parser().parse_args(words[:3]).report_pictures == "if_no"
    assert set(choices) == set(ReportPictures)


def test_the_longest_job_name_fits(requests: Any) -> None:
    service = "w" * JOB_NAME_ROOM
    made = requests(service_name=service)
    for purpose, request, key in (
        ("train", made.training(), "TrainingJobName"),
        ("audit", made.audit(), "ProcessingJobName"),
        ("optimise", made.optimisation(), "ProcessingJobName"),
        ("evaluate", made.evaluation(), "ProcessingJobName"),
    ):
        assert request[key].startswith(f"{{% '{service}-{purpose}-' & $run & '-' & (($waits + $restarts)")
        assert len(f"{service}-{purpose}-") + 12 + len("-325") <= 63


def test_sagemaker_finds_every_number_of_the_digest_that_training_prints(requests: Any) -> None:
    numbers = tuple(range(2**24 - seal.NUMBERS, 2**24))
    definitions = requests().training()["AlgorithmSpecification"]["MetricDefinitions"]
    found = {one["Name"]: re.findall(one["Regex"], seal.line(numbers)) for one in definitions}
    assert [found[name] for name in sorted(DIGESTS)] == [[str(number)] for number in numbers]
    assert not any(found[name] for name in METRICS)


@pytest.mark.parametrize(("printed", "value"), [("0.25", "0.25"), ("1.5e-05", "1.5e-05"), ("3", "3")])
def test_sagemaker_finds_the_metrics_in_a_line_of_progress(requests: Any, printed: str, value: str) -> None:
    line = "epoch=3 " + " ".join(f"{name}={printed}" for name in METRICS.values())
    definitions = requests().training()["AlgorithmSpecification"]["MetricDefinitions"]
    assert [one["Name"] for one in definitions] == [*METRICS, *DIGESTS]
    assert [re.findall(one["Regex"], line) for one in definitions] == [[value]] * len(METRICS) + [[]] * len(DIGESTS)
    assert NUMBER in definitions[0]["Regex"]
