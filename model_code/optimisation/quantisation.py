"""Quantises a network to 8-bit integers, and gives some of its layers back their fp32."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from itertools import takewhile

import torch

from model_code.backends.openvino_backend import ov

LAYERS = ("Convolution", "MatMul")
MEANS = ("Reshape", "ReduceMean", "AvgPool")  # between maps and classifier
# What a dense block does with its maps before a layer takes them. Joined maps differ in range by channel, and one scale
# of 8 bits for all of them was the coarsest step of all; in fp32 these take next to no time.
APART = ("Multiply", "Add", "AvgPool")
# How much of the channels' differences in range is moved from what a layer takes to its weights (SmoothQuant's alpha).
SMOOTHING = 0.4


def layers(model: ov.Model) -> list[str]:
    """Return the names of the layers that can be quantised, from the input to the last one before the classifier."""
    last = in_full_precision(model)
    found = [node.get_friendly_name() for node in model.get_ordered_ops() if node.get_type_name() in LAYERS]
    return [name for name in found if name not in last]


def in_full_precision(model: ov.Model) -> set[str]:
    """Return the names of what gives logits and grid from the network's maps: the last layers, and the mean of maps.

    They stay in fp32: they take next to no time, and a grid whose mean is not the logit would explain another answer.
    """
    found: set[str] = set()
    for output in (model.outputs[at] for at in (0, 2) if at < len(model.outputs)):
        layer = next(node for node in _back(output.get_node()) if node.get_type_name() in LAYERS)
        means = takewhile(lambda node: node.get_type_name() in MEANS, _back(layer))
        found.update(node.get_friendly_name() for node in (layer, *means))
    return found


def _back(node: ov.Node) -> Iterator[ov.Node]:
    """Yield what a node takes first, what that takes first, and so on to the input."""
    while node.get_input_size():
        node = node.input_value(0).get_node()
        yield node


def quantise(model: ov.Model, images: Sequence[torch.Tensor], *, exact_bytes: bool) -> ov.Model:
    """Return a copy of ``model``, quantised but for what is APART and the classifier.

    It is calibrated on ``images``, 1 x size x size; nothing that a layer takes from them is beyond its range.

    With ``exact_bytes`` the weights use all 8 bits, for processors that ``adds_bytes_exactly``. Otherwise they use 7:
    coarser, and the same on every processor.
    """
    import nncf  # noqa: PLC0415  (imported here: it takes a second)
    from nncf.quantization.advanced_parameters import (  # noqa: PLC0415
        AdvancedQuantizationParameters,
        AdvancedSmoothQuantParameters,
        OverflowFix,
    )
    from nncf.quantization.range_estimator import (  # noqa: PLC0415
        AggregatorType,
        RangeEstimatorParameters,
        StatisticsCollectorParameters,
        StatisticsType,
    )

    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # nncf draws bars, and a job's log has lines
        return nncf.quantize(
            model,
            nncf.Dataset([image[None].numpy() for image in images]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(images),
            # nncf smooths models of this type alone. In them it leaves sums and means in fp32, too, as APART does.
            model_type=nncf.ModelType.TRANSFORMER,
            ignored_scope=nncf.IgnoredScope(names=sorted(in_full_precision(model)), types=list(APART), validate=False),
            advanced_parameters=AdvancedQuantizationParameters(
                overflow_fix=OverflowFix.DISABLE if exact_bytes else OverflowFix.ENABLE,
                smooth_quant_alphas=AdvancedSmoothQuantParameters(convolution=SMOOTHING, matmul=SMOOTHING),
                activations_range_estimator_params=RangeEstimatorParameters(
                    min=StatisticsCollectorParameters(
                        statistics_type=StatisticsType.MIN, aggregator_type=AggregatorType.MIN
                    ),
                    max=StatisticsCollectorParameters(
                        statistics_type=StatisticsType.MAX, aggregator_type=AggregatorType.MAX
                    ),
                ),
            ),
        )


def restored(quantised: ov.Model, model: ov.Model, names: Sequence[str]) -> ov.Model:
    """Return a copy of ``quantised`` in which the layers of these names take and compute what they do in ``model``.

    Ranges, smoothing and the correction of biases are each layer's own, so the others need no new calibration.
    """
    copied = quantised.clone()
    found, trained = _by_name(copied), _by_name(model)
    for name in names:
        layer = found[name]
        taken = layer.input_value(0)
        while taken.get_node().get_friendly_name() not in trained:  # nncf's
            taken = taken.get_node().input_value(0)
        layer.input(0).replace_source_output(taken)
        _take_constants(layer, trained[name])
        for taker in (one.get_node() for one in layer.output(0).get_target_inputs()):
            if taker.get_type_name() == "Add":  # its bias, if it has one
                _take_constants(taker, trained[taker.get_friendly_name()])
    return copied


def _by_name(model: ov.Model) -> dict[str, ov.Node]:
    return {node.get_friendly_name(): node for node in model.get_ordered_ops()}


def _take_constants(node: ov.Node, other: ov.Node) -> None:
    """Replace what ``node`` takes by the constants that ``other``, the same node of the model, takes."""
    for port in range(other.get_input_size()):
        constant = other.input_value(port).get_node()
        if constant.get_type_name() == "Constant":
            node.input(port).replace_source_output(ov.op.Constant(constant.data).output(0))
