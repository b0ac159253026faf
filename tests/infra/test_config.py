from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from functions.settings import AcquisitionLimits, Range, Thresholds, bare, hints_of
from infra import validation
from infra.app import ROOT
from infra.config import ConfigError, StageConfig, load_stage
from model_code.reading import frame


def test_a_stage_names_only_its_changes() -> None:
    config = load_stage({"small": {"slots": 1, "image_types": ["original"]}}, "small")
    assert (config.slots, config.image_types) == (1, ("original",))
    assert config.max_batch == StageConfig().max_batch


def test_every_stage_of_cdk_json_is_valid() -> None:
    stages = json.loads(Path(ROOT / "cdk.json").read_text())["context"]["stages"]
    assert {"default", "local"} <= set(stages)
    for name in stages:
        load_stage(stages, name)


def test_one_error_lists_every_unknown_setting_and_wrong_type() -> None:
    with pytest.raises(ConfigError) as caught:
        load_stage({"bad": {"slotz": 1, "slots": "4", "protect_data": 1, "modalities": "CT"}}, "bad")
    message = str(caught.value)
    assert message.startswith("Stage 'bad' in cdk.json: slotz is no setting")
    assert "slots is '4': a whole number is expected" in message
    assert "protect_data is 1: true or false is expected" in message
    assert "modalities is 'CT': a list of texts is expected" in message


def test_a_misspelt_setting_is_answered_with_those_that_look_like_it() -> None:
    with pytest.raises(ConfigError, match=r"permission_boundary is no setting \(did you mean permissions_boundary\)"):
        load_stage({"bad": {"permission_boundary": "b"}}, "bad")
    with pytest.raises(ConfigError, match=r"hue is no setting \(there are: service_name, modalities, .*"):
        load_stage({"bad": {"hue": "b"}}, "bad")


def test_true_is_not_a_number() -> None:
    with pytest.raises(ConfigError, match="slots is True"):
        load_stage({"bad": {"slots": True}}, "bad")


def test_an_unknown_stage_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'prod' is not among the stages of cdk.json \(default, local\)"):
        load_stage({"default": {}, "local": {}}, "prod")


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        ({"max_concurrent_transforms": 6}, r"max_concurrent_transforms x \(max_payload_mb \+ 1\) is 102: at most 100"),
        ({"tick_delay_seconds": 20}, r"more than tick_window_seconds \(20\)"),
        ({"max_work_seconds": 2401}, r"max_job_seconds is 3600: at least max_work_seconds \(2401\) and 1200"),
        ({"max_jobs_per_day": 0}, "max_jobs_per_day is 0: 1 to 1000000 is expected"),
        ({"instance_type": "ml.p3.2xlarge"}, "with a family that batch transform offers"),
        ({"instance_type": "m5.xlarge"}, "'ml.<family>.<size>' is expected"),
        ({"service_name": "Wetread"}, "lower case"),
        ({"service_name": "w" * 23}, "at most 21"),
        ({"service_name": "3t-ct"}, "a letter"),
        ({"service_name": "sthree-ct"}, "S3 makes no buckets"),
        ({"slots": 0}, "slots is 0: 1 to 100 is expected"),
        ({"conformance": "lax"}, "one of strict, repair is expected"),
        ({"planes": ["lateral"]}, "one of sagittal, coronal, axial, oblique is expected"),
        (
            {"urgent_labels": ["covid", "flu"]},
            r"urgent_labels has 'flu': some of labels \(normal, cap, covid\) are expected",
        ),
        ({"image_types": []}, "one of original, derived, localizer"),
        ({"modalities": []}, "every upload would be refused"),
        (
            {"modalities": ["CT", "MR", "PT"]},
            "modalities has 'MR', 'PT', which the container does not read: at most 'CT'",
        ),
        ({"modalities": ["ct"]}, "modalities has 'ct', which the container does not read"),
        (
            {"sop_class_uids": ["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"]},
            r"sop_class_uids has '1.2.840.10008.5.1.4.1.1.2.1' \(Enhanced CT Image Storage\), which the container does "
            r"not read: at most '1.2.840.10008.5.1.4.1.1.2' \(CT Image Storage\) is expected",
        ),
        ({"sop_class_uids": ["CTImageStorage"]}, "sop_class_uids has 'CTImageStorage', which the container does not"),
        (
            {"transfer_syntax_uids": ["1.2.840.10008.1.2.4.103"]},
            r"transfer_syntax_uids has '1.2.840.10008.1.2.4.103' \(MPEG-4",
        ),
        ({"alarm_email": "radiology"}, "an e-mail address is expected"),
        ({"min_auc": 1.5}, "min_auc is 1.5: 0.0 to 1.0 is expected"),
        ({"champion_margin": -1}, "champion_margin is -1.0: 0.0 to 1.0 is expected"),
        ({"subgroup_min_patients": 0}, "subgroup_min_patients is 0: 1 to"),
        ({"training_volume_gb": 0}, "training_volume_gb is 0: 1 to 16384 is expected"),
        ({"processing_max_seconds": 777_601}, "processing_max_seconds is 777601: 60 to 777600 is expected"),
        ({"logs_kept_days": 91}, "logs_kept_days is 91: one of 1, 3, 5, .*3653 is expected, since CloudWatch"),
        ({"logs_kept_days": 0}, "logs_kept_days is 0: 1 to 3653 is expected"),
        ({"keys": "none"}, "keys is 'none': one of plain, hashed is expected"),
        ({"uploads_kept_days": -1}, "uploads_kept_days is -1: 0 to 36500 is expected"),
        ({"results_kept_days": 7, "uploads_kept_days": 7}, "results_kept_days is 7: 0 or at least 30 is expected"),
        ({"results_kept_days": 60}, "uploads_kept_days is 0 and results_kept_days 60: 1 to 60 is expected"),
        ({"results_kept_days": 60, "uploads_kept_days": 61}, "1 to 60 is expected"),
        ({"slices_kept_days": 8}, "slices_kept_days is 8: 0 or at least 9 is expected, or slices expire under"),
        ({"approval": "later"}, "approval is 'later': one of auto, manual is expected"),
        ({"labels": []}, r"labels is \[\]: two or more different names are expected"),
        ({"labels": ["covid"]}, "two or more different names"),
        ({"labels": ["covid", "covid"]}, "two or more different names"),
        ({"labels": ["covid", ""]}, "two or more different names"),
        ({"labels": ["covid", "cap, mild"]}, "letters, digits, spaces"),
        (
            {"training_instance_type": "ml.p2.xlarge"},
            "training_instance_type is 'ml.p2.xlarge'.*a family that training",
        ),
        ({"processing_instance_type": "ml.c5n.xlarge"}, "a family that processing offers"),
        (
            {"training_spot": True, "training_max_wait_seconds": 3600},
            r"training_max_wait_seconds is 3600: at least training_max_seconds \(86400\) is expected",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(overrides: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_stage({"bad": overrides}, "bad")


def test_a_stage_may_name_each_transfer_syntax_that_the_container_decodes() -> None:
    assert set(validation.TRANSFER_SYNTAXES) == set(frame.TRANSFER_SYNTAXES)


def test_gpu_hosts_get_an_image_with_a_current_driver_and_cpu_hosts_none() -> None:
    gpu = StageConfig(instance_type="ml.g5.xlarge", torch_index_url="https://index/cu126")
    assert gpu.transform_ami_version == "al2-ami-sagemaker-batch-gpu-535"
    assert StageConfig(instance_type="ml.m5.xlarge").transform_ami_version == ""


def test_the_largest_upload_is_what_one_request_may_hold() -> None:
    assert StageConfig(max_payload_mb=16).served.max_object_bytes == 16 * 1024 * 1024


def test_a_second_service_in_an_account_has_a_separate_stack() -> None:
    assert StageConfig().stack_name == "Wetread"
    assert StageConfig(service_name="wetread-test").stack_name == "Wetread-Test"


@pytest.mark.parametrize("setting", ["instance_type", "training_instance_type", "processing_instance_type"])
def test_a_gpu_image_needs_an_index_for_its_torch(setting: str) -> None:
    gpu: dict[str, Any] = {setting: "ml.g5.xlarge"}
    with pytest.raises(ConfigError, match=f"^{setting} is 'ml.g5.xlarge' and torch_index_url is empty"):
        StageConfig(**gpu)
    StageConfig(**gpu, image_uri="111111111111.dkr.ecr.eu-west-1.amazonaws.com/wetread:1")
    StageConfig(**gpu, torch_index_url="https://index/cu126")


def test_a_whole_number_is_a_number_too() -> None:
    config = load_stage({"strict": {"min_auc": 1, "champion_margin": 0.02}}, "strict")
    assert (repr(config.thresholds.min_auc), config.thresholds.champion_margin) == ("1.0", 0.02)


def test_a_text_or_a_boolean_is_not_a_number() -> None:
    with pytest.raises(
        ConfigError, match=r"min_auc is '0\.8': a number is expected; champion_margin is True: a number"
    ):
        load_stage({"bad": {"min_auc": "0.8", "champion_margin": True}}, "bad")


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        StageConfig(instance_type="m5.xlarge", slots=0, tick_delay_seconds=0, labels=())
    assert [one.split(" is ")[0] for one in str(caught.value).split("; ")] == [
        "slots",
        "labels",
        "instance_type",
        "tick_delay_seconds",
    ]


@pytest.mark.parametrize(
    ("setting", "shape"),
    [
        ("instance_type", "TransformInstanceType"),
        ("training_instance_type", "TrainingInstanceType"),
        ("processing_instance_type", "ProcessingInstanceType"),
    ],
)
def test_sagemaker_offers_every_family_that_a_stage_may_name(setting: str, shape: str) -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    offered = {validation.family(one) for one in model.shape_for(shape).enum}
    job, families = validation.INSTANCE_TYPES[setting]
    assert job
    assert set(families) <= offered
    assert set(validation.GPU) <= set(families)
    assert getattr(StageConfig(), setting) in model.shape_for(shape).enum


def test_every_number_of_a_stage_has_a_range() -> None:
    numbers = {name: hint for name, hint in hints_of(StageConfig).items() if bare(hint) in (int, float)}
    assert {"slots", "min_auc", "min_acquisition_gain"} < set(numbers)
    assert not [name for name, hint in numbers.items() if not isinstance(validation.bound_of(hint), Range)]


def test_a_stage_may_change_one_threshold_and_keeps_the_others() -> None:
    config = load_stage({"strict": {"min_auc": 0.9, "max_acquisition_p_value": 0.5}}, "strict")
    assert config.thresholds == Thresholds(min_auc=0.9)
    assert config.acquisition == AcquisitionLimits(max_acquisition_p_value=0.5)


def test_not_a_number_is_in_no_range() -> None:
    with pytest.raises(ConfigError, match=r"min_auc is nan: 0\.0 to 1\.0 is expected"):
        load_stage({"bad": {"min_auc": float("nan")}}, "bad")


@pytest.mark.parametrize(
    ("folds", "expected"), [(1, "folds is 1"), (2, "folds is 2"), (11, "folds is 11"), (-1, "folds is -1")]
)
def test_folds_are_a_few_or_none(folds: int, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        StageConfig(folds=folds)
    assert [StageConfig(folds=one).folds for one in (0, 3, 10)] == [0, 3, 10]
