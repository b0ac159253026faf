"""The folders and variables of SageMaker."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_code.container import Binding, Container


def test_paths_are_sagemakers_unless_moved() -> None:
    container = Container.from_environment({})
    assert container.model_dir == Path("/opt/ml/model")
    assert container.hyperparameters == Path("/opt/ml/input/config/hyperparameters.json")
    assert container.slices_channel == Path("/opt/ml/input/data/slices")
    assert container.snapshot_channel == Path("/opt/ml/input/data/snapshot/snapshot.json")
    assert container.resource_config == Path("/opt/ml/input/config/resourceconfig.json")
    assert container.checkpoints == Path("/opt/ml/checkpoints")
    assert container.failure == Path("/opt/ml/output/failure")
    assert Container.from_environment({"SAGEMAKER_BASE_DIR": "/x"}).model_dir == Path("/x/model")


def test_paths_of_a_processing_job() -> None:
    container = Container.from_environment({"SAGEMAKER_BASE_DIR": "/x"})
    paths, base = container.processing, Path("/x/processing")
    assert paths.snapshot == base / "input/snapshot/snapshot.json"
    assert paths.slices == base / "input/slices"
    assert paths.candidate == base / "input/candidate/model.tar.gz"
    assert paths.champion == base / "input/champion/model.tar.gz"
    assert paths.audit == base / "output/audit/audit.json"
    assert paths.evaluation == base / "output/evaluation"
    assert container.message == Path("/x/output/message")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ("0.0.0.0", 8080, None, 6)),
        ({"SAGEMAKER_BIND_TO_HOST": "127.0.0.1", "SAGEMAKER_BIND_TO_PORT": "9"}, ("127.0.0.1", 9, None, 6)),
        ({"WETREAD_BIND_TO_SOCKET": "/x/socket"}, ("0.0.0.0", 8080, "/x/socket", 6)),
        ({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "20"}, ("0.0.0.0", 8080, None, 20)),
        ({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "0"}, ("0.0.0.0", 8080, None, 100)),
    ],
)
def test_where_serve_listens(environ: dict[str, str], expected: tuple[str, int, str | None, int]) -> None:
    binding = Binding.from_environment(environ)
    assert (binding.host, binding.port, binding.socket, binding.max_payload_mb) == expected


def test_how_long_an_answer_may_take_has_the_name_that_awss_toolkits_have_for_it() -> None:
    assert Binding.from_environment({}).answer_seconds == 120
    assert Binding.from_environment({"SAGEMAKER_MODEL_SERVER_TIMEOUT": "300"}).answer_seconds == 300


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "abc", "'abc': a whole number from 0 to 1024 is expected."),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "-1", "'-1': a whole number"),
        ("SAGEMAKER_BIND_TO_PORT", "70000", "'70000': a whole number from 1 to 65535 is expected."),
        ("SAGEMAKER_BIND_TO_PORT", "", "'': a whole number"),
        ("SAGEMAKER_MODEL_SERVER_TIMEOUT", "2 min", "'2 min': a number from 0 to 86400 is expected."),
        ("SAGEMAKER_MODEL_SERVER_TIMEOUT", "nan", "'nan': a number"),
    ],
)
def test_a_variable_that_is_no_number_is_named_with_its_value(name: str, value: str, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {expected}"):
        Binding.from_environment({name: value})
