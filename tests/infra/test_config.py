from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.app import ROOT
from infra.config import ConfigError, StageConfig, load_stage


def test_a_stage_says_only_what_it_does_differently() -> None:
    config = load_stage({"small": {"slots": 1, "modalities": ["CT", "MR"]}}, "small")
    assert (config.slots, config.modalities) == (1, ("CT", "MR"))
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


def test_true_is_no_number() -> None:
    with pytest.raises(ConfigError, match="slots is True"):
        load_stage({"bad": {"slots": True}}, "bad")


def test_an_unknown_stage_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'prod' is not among the stages of cdk.json \(default, local\)"):
        load_stage({"default": {}, "local": {}}, "prod")


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        ({"max_concurrent_transforms": 7}, "max_concurrent_transforms x max_payload_mb is 112: at most 100"),
        ({"tick_delay_seconds": 20}, r"more than tick_window_seconds \(20\)"),
        ({"instance_type": "ml.p3.2xlarge"}, "with a family that batch transform offers"),
        ({"instance_type": "m5.xlarge"}, "'ml.<family>.<size>' is expected"),
        ({"service_name": "Wetread"}, "lower case"),
        ({"service_name": "w" * 23}, "at most 22"),
        ({"slots": 0}, "slots is 0: 1 to 100 is expected"),
        ({"conformance": "lax"}, "one of strict, repair is expected"),
        ({"modalities": []}, "every upload would be refused"),
        ({"alarm_email": "nobody"}, "an e-mail address is expected"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(overrides: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_stage({"bad": overrides}, "bad")


def test_gpu_hosts_get_an_image_with_a_current_driver_and_cpu_hosts_none() -> None:
    gpu = StageConfig(instance_type="ml.g5.xlarge", torch_index_url="https://index/cu126")
    assert gpu.transform_ami_version == "al2-ami-sagemaker-batch-gpu-535"
    assert StageConfig(instance_type="ml.m5.xlarge").transform_ami_version == ""


def test_the_largest_upload_is_what_one_request_may_hold() -> None:
    assert StageConfig(max_payload_mb=16).max_object_bytes == 16 * 1024 * 1024


def test_a_second_service_in_an_account_has_a_stack_of_its_own() -> None:
    assert StageConfig().stack_name == "Wetread"
    assert StageConfig(service_name="wetread-test").stack_name == "Wetread-Test"


def test_a_gpu_image_must_say_which_torch_it_is_built_with() -> None:
    with pytest.raises(ConfigError, match="torch_index_url"):
        StageConfig(instance_type="ml.g5.xlarge")
    StageConfig(instance_type="ml.g5.xlarge", image_uri="111111111111.dkr.ecr.eu-west-1.amazonaws.com/wetread:1")
