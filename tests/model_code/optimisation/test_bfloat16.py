"""A graph in bfloat16 says which of its layers are computed in fp32, and keeps saying so in its file."""

from __future__ import annotations

import pytest

from model_code.artifacts import artifact
from model_code.container import Container
from model_code.optimisation.bfloat16 import in_bfloat16
from model_code.optimisation.export import export, serialised
from model_code.optimisation.quantisation import in_full_precision, layers

ov = pytest.importorskip("openvino")

PRECISE = "DisablePrecisionConversion_0"  # how OpenVINO calls it when it has read it


@pytest.fixture(scope="module")
def model(container: Container) -> ov.Model:
    about = artifact.describe(container.model_dir)
    return export(artifact.load_network(container.model_dir, about), about.preprocessing.image_size)


def read_again(model: ov.Model) -> ov.Model:
    """Return the graph as an artifact has it."""
    return ov.Core().read_model(*serialised(model))


@pytest.mark.parametrize("kept", [1, 2, 40])
def test_the_first_layers_and_the_classifier_stay_precise(model: ov.Model, kept: int) -> None:
    nodes = read_again(in_bfloat16(model, kept)).get_ordered_ops()
    precise = {node.get_friendly_name() for node in nodes if PRECISE in node.get_rt_info()}
    names = layers(model)
    assert [one for one in names if one in precise] == names[:kept]
    assert in_full_precision(model) <= precise


def test_the_weights_stay_those_of_fp32(model: ov.Model) -> None:
    assert len(serialised(in_bfloat16(model, 1))[1]) == len(serialised(model)[1])


def test_what_is_marked_is_computed_in_fp32(model: ov.Model) -> None:
    settings = {"INFERENCE_PRECISION_HINT": "bf16"}
    compiled = ov.Core().compile_model(read_again(in_bfloat16(model, 2)), "CPU", settings)
    if str(compiled.get_property("INFERENCE_PRECISION_HINT")) != "<Type: 'bfloat16'>":
        pytest.skip("this processor does not multiply bfloat16")
    numbers = {
        name: node.get_rt_info()["runtimePrecision"].astype(str)
        for node in compiled.get_runtime_model().get_ordered_ops()
        for name in node.get_rt_info()["originalLayersNames"].astype(str).split(",")
    }
    assert [numbers[name] for name in layers(model)[:4]] == ["f32", "f32", "bf16", "bf16"]
