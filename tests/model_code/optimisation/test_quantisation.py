"""What of a network is quantised: what its convolutions take and their weights, and nothing of the blocks' maps."""

from __future__ import annotations

import contextlib
import io

import pytest
import torch

from model_code.backends import networks
from model_code.backends.openvino_backend import OpenVinoBackend, ov
from model_code.optimisation.export import export
from model_code.optimisation.quantisation import layers, quantise, restored

SIZE = 64


@pytest.fixture(scope="module")
def model() -> ov.Model:
    """Return the graph of a network whose normalisations shift, so that its layers have biases."""
    torch.manual_seed(0)
    network = networks.build(3).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.bias.data.normal_(0, 0.1)
    return export(network, SIZE)


@pytest.fixture(scope="module")
def printed() -> io.StringIO:
    """Return what quantising prints."""
    return io.StringIO()


@pytest.fixture(scope="module")
def everywhere(model: ov.Model, printed: io.StringIO) -> ov.Model:
    """Return the model in 8 bits; the slices that it was calibrated on are of ever less contrast."""
    images = torch.rand(4, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with contextlib.redirect_stdout(printed):
        return quantise(model, [image / (1 + at) for at, image in enumerate(images)], exact_bytes=True)


@pytest.fixture(scope="module")
def quantised(model: ov.Model, everywhere: ov.Model) -> ov.Model:
    return restored(everywhere, model, layers(model)[:3])


def of_type(model: ov.Model, name: str) -> list[ov.Node]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() == name]


@pytest.mark.usefixtures("everywhere")
def test_no_bar_is_drawn_into_the_log_of_a_job(printed: io.StringIO) -> None:
    assert printed.getvalue() == ""


def test_only_what_convolutions_take_is_rounded_to_bytes(quantised: ov.Model) -> None:
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


def test_with_all_layers_restored_it_computes_what_the_model_does(model: ov.Model, quantised: ov.Model) -> None:
    image = torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    trained, whole, part = (
        OpenVinoBackend(one).outputs(image).logits
        for one in (model, restored(quantised, model, layers(model)), quantised)
    )
    assert whole == pytest.approx(trained, abs=1e-5)
    assert part != pytest.approx(trained, abs=1e-5)


def test_restoring_leaves_the_quantised_model_as_it_is(model: ov.Model, quantised: ov.Model) -> None:
    before = len(of_type(quantised, "FakeQuantize"))
    restored(quantised, model, layers(model))
    assert len(of_type(quantised, "FakeQuantize")) == before > 0


def test_a_range_is_that_of_the_slice_of_most_contrast(everywhere: ov.Model) -> None:
    rounded = next(node for node in everywhere.get_ordered_ops() if node.get_type_name() == "FakeQuantize")
    smoothed = rounded.input_value(0).get_node().input_value(1).get_node().data
    assert float(rounded.input_value(2).get_node().data.max() / smoothed.max()) == pytest.approx(1.0, abs=0.02)
