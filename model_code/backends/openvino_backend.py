"""A network compiled by OpenVINO for this processor: one stream a core, one inference request a thread."""

from __future__ import annotations

import sys
import threading

# OpenVINO reports every import and conversion to its makers with this package, and works without it.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import numpy as np  # noqa: E402
import openvino as ov  # noqa: E402
import torch  # noqa: E402

from model_code.backends.backend import Backend, Outputs  # noqa: E402
from model_code.backends.processor import CORES  # noqa: E402

__all__ = ["OpenVinoBackend", "ov"]


class OpenVinoBackend(Backend):
    """Computes one slice per request and as many requests at once as there are cores, each on its own core."""

    def __init__(self, model: ov.Model, precision: str = "f32") -> None:
        """Compile ``model`` for an input of 1 x 1 x size x size, to compute in ``precision``: "f32" or "bf16".

        Layers in 8-bit integers stay so, and those that the graph marks as precise are computed in fp32.
        """
        self._compiled = ov.Core().compile_model(
            model,
            "CPU",
            {
                # Some processors would otherwise compute in bfloat16, which is not the network that was validated.
                "INFERENCE_PRECISION_HINT": precision,
                "NUM_STREAMS": CORES,
                "INFERENCE_NUM_THREADS": CORES,
                # Cores are often shared with other containers: the system knows better which are free.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._own = threading.local()

    @classmethod
    def read(cls, graph: bytes, weights: bytes, precision: str = "f32") -> OpenVinoBackend:
        """Compile the network in the bytes of its two files; raises RuntimeError, as OpenVINO does, if it cannot."""
        return cls(ov.Core().read_model(graph, weights), precision)

    def outputs(self, images: torch.Tensor) -> Outputs:
        """Return the outputs for N x 1 x size x size images; a graph from before features gives logits alone."""
        if len(images) == 1:
            answers = [list(self._request().infer([images.numpy()], share_inputs=True).values())]
        else:
            answers = self._at_once(images.numpy())
        return Outputs.of([torch.from_numpy(np.concatenate(each)) for each in zip(*answers, strict=True)])

    def _request(self) -> ov.InferRequest:
        """Return this thread's request, which holds the network's input and output while they are computed."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        request: ov.InferRequest = self._own.request
        return request

    def _at_once(self, images: np.ndarray) -> list[list[np.ndarray]]:
        requests = [self._compiled.create_infer_request() for _ in images]
        for request, image in zip(requests, images, strict=True):
            request.start_async([image[None]])
        for request in requests:
            request.wait()
        return [[tensor.data.copy() for tensor in request.output_tensors] for request in requests]
