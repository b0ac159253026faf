"""Quantises a network to 8-bit integers, leaving some of its layers in fp32."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from model_code.backends.openvino_backend import ov

LAYERS = ("Convolution", "MatMul")


def layers(model: ov.Model) -> list[str]:
    """Return the names of the layers that can be quantised, from the input to the classifier."""
    return [node.get_friendly_name() for node in model.get_ordered_ops() if node.get_type_name() in LAYERS]


def quantise(model: ov.Model, images: Sequence[torch.Tensor], kept: Sequence[str], *, exact_bytes: bool) -> ov.Model:
    """Return a copy of ``model``, quantised but for the ``kept`` layers, calibrated on ``images``, 1 x size x size.

    With ``exact_bytes`` the weights use all 8 bits, for processors that ``adds_bytes_exactly``. Otherwise they use 7:
    coarser, and the same on every processor.
    """
    import nncf  # noqa: PLC0415  (imported here: it takes a second)
    from nncf.quantization.advanced_parameters import (  # noqa: PLC0415
        AdvancedQuantizationParameters,
        OverflowFix,
    )

    nncf.set_log_level(logging.ERROR)
    return nncf.quantize(
        model,
        nncf.Dataset([image[None].numpy() for image in images]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(names=list(kept)) if kept else None,
        advanced_parameters=AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.DISABLE if exact_bytes else OverflowFix.ENABLE
        ),
    )
