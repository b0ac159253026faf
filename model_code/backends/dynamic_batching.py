"""Batches the slices of concurrent requests dynamically: a GPU computes several in the time of one."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future

import torch

from model_code.backends.backend import Backend, Outputs

# A GPU computes this many slices of 512 x 512 in little more time than one.
SLICES = 8


class DynamicBatcher(Backend):
    """A backend that computes in one batch the requests that arrived while it was busy.

    No request waits for others: one that finds the backend idle is computed alone. Empty slices fill every batch up to
    the same size, because a GPU's kernels depend on it and no answer may depend on the other requests.
    """

    def __init__(self, backend: Backend, slices: int = SLICES) -> None:
        self._backend = backend
        self._slices = slices
        self._waiting: deque[tuple[torch.Tensor, Future[Outputs]]] = deque()
        self._turn = threading.Lock()

    def outputs(self, images: torch.Tensor) -> Outputs:
        """Return the outputs for one slice, 1 x 1 x size x size; several slices are computed as they are."""
        if len(images) != 1:
            with self._turn:
                return self._backend.outputs(images)
        answer: Future[Outputs] = Future()
        self._waiting.append((images[0], answer))
        with self._turn:
            while not answer.done():
                self._answer_the_first()
        return answer.result()

    def _answer_the_first(self) -> None:
        """Compute one batch of the waiting slices; the caller holds the lock."""
        together = [self._waiting.popleft() for _ in range(min(self._slices, len(self._waiting)))]
        try:
            batch = torch.zeros(self._slices, *together[0][0].shape)
            for row, (image, _) in zip(batch, together, strict=False):
                row.copy_(image)
            outputs = self._backend.outputs(batch)
        except Exception as error:  # each request of this batch must fail
            for _, answer in together:
                answer.set_exception(error)
        else:
            for one, (_, answer) in zip(outputs.single(), together, strict=False):
                answer.set_result(one)
