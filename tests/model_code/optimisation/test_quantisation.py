"""What of a network is quantised: what its convolutions take and their weights, and nothing of the blocks' maps."""

from __future__ import annotations

import pytest
import torch

from model_code.backends import networks
from model_code.backends.openvino_backend import ov
from model_code.optimisation.export import export
from model_code.optimisation.quantisation import layers, quantise

SIZE = 64


@pytest.fixture(scope="module")
def model() -> ov.Model:
    torch.manual_seed(0)
    return export(networks.build(3).eval(), SIZE)


@pytest.fixture(scope="module")
def quantised(model: ov.Model) -> ov.Model:
    images = torch.rand(4, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return quantise(model, list(images), layers(model)[:3], exact_bytes=True)


def of_type(model: ov.Model, name: str) -> list[ov.Node]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() == name]


def test_only_what_convolutions_take_and_transitions_give_is_rounded_to_bytes(quantised: ov.Model) -> None:
    takers = {
        one.get_node().get_type_name()
        for node in of_type(quantised, "FakeQuantize")
        for one in node.output(0).get_target_inputs()
    }
    assert takers == {"Convolution"}


def test_kept_layers_and_the_last_ones_take_what_is_not_rounded(model: ov.Model, quantised: ov.Model) -> None:
    rounded = {
        one.get_friendly_name()
        for one in of_type(quantised, "Convolution")
        if one.input_value(0).get_node().get_type_name() == "FakeQuantize"
    }
    assert rounded == set(layers(model)[3:])


def test_the_ranges_of_channels_are_smoothed_before_they_are_rounded(quantised: ov.Model) -> None:
    before = {node.input_value(0).get_node().get_type_name() for node in of_type(quantised, "FakeQuantize")}
    assert before == {"Multiply"}
