"""Exports a trained network to OpenVINO's graph, and a graph to the two files that an artifact carries."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import torch
from torch import nn

from model_code.backends.networks import with_outputs
from model_code.backends.openvino_backend import ov

# The side of the traced example: the graph does not depend on it, and is reshaped afterwards.
TRACED_SIZE = 64


def export(network: nn.Module, image_size: int) -> ov.Model:
    """Return the graph of ``network`` (in evaluation mode) for one slice, 1 x 1 x image_size x image_size.

    It has the outputs of ``with_outputs``: logits, then features.
    """
    example = torch.zeros(1, 1, TRACED_SIZE, TRACED_SIZE)
    with warnings.catch_warnings(), torch.inference_mode():
        # OpenVINO reads a network by tracing, which torch calls deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(with_outputs(network), example, check_trace=False)  # type: ignore[no-untyped-call]
        model = ov.convert_model(traced, example_input=example)
    model.reshape([1, 1, image_size, image_size])
    return model


def serialised(model: ov.Model) -> tuple[bytes, bytes]:
    """Return the bytes of the graph and of its weights, which keep their precision."""
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.xml"
        ov.save_model(model, graph, compress_to_fp16=False)
        return graph.read_bytes(), graph.with_suffix(".bin").read_bytes()
