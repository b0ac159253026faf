"""Takes the slices of concurrent requests through the network together, as a GPU wants them."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future

import torch

from model_code.backends.backend import Backend

# A GPU computes this many slices of 512 x 512 in little more time than one.
SLICES = 8


class DynamicBatcher:
    """A computation that answers those together who came while it was busy.

    Nobody waits for others to come: who finds it idle is answered alone. Every batch is filled up to the same number of
    slices with empty ones, because a GPU's kernels depend on it, and no answer may depend on who else was there.
    """

    def __init__(self, backend: Backend, slices: int = SLICES) -> None:
        self._backend = backend
        self._slices = slices
        self._waiting: deque[tuple[torch.Tensor, Future[torch.Tensor]]] = deque()
        self._turn = threading.Lock()

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """One slice, 1 x 1 x size x size, to 1 x classes logits; several are a batch that is computed as it is."""
        if len(images) != 1:
            with self._turn:
                return self._backend.logits(images)
        answer: Future[torch.Tensor] = Future()
        self._waiting.append((images[0], answer))
        with self._turn:
            while not answer.done():
                self._answer_the_first()
        return answer.result()

    def _answer_the_first(self) -> None:
        """Compute one batch of those who wait; only who has the turn may."""
        together = [self._waiting.popleft() for _ in range(min(self._slices, len(self._waiting)))]
        try:
            batch = torch.zeros(self._slices, *together[0][0].shape)
            for place, (image, _) in zip(batch, together, strict=False):
                place.copy_(image)
            logits = self._backend.logits(batch)
        except Exception as error:  # everyone who waits for this batch must hear of it
            for _, answer in together:
                answer.set_exception(error)
        else:
            for row, (_, answer) in zip(logits, together, strict=False):
                answer.set_result(row[None])
