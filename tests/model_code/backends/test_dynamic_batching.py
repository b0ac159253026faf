"""Concurrent requests are computed together, without an effect on any answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from model_code.backends import networks
from model_code.backends.backend import Backend, Outputs
from model_code.backends.dynamic_batching import DynamicBatcher
from model_code.backends.torch_backend import TorchBackend

WAIT = 30


class Slow(Backend):
    """Answers each slice with its own mean, when the gate is open; keeps the batches that it was given."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.began = threading.Event()
        self.batches: list[torch.Tensor] = []

    def outputs(self, images: torch.Tensor) -> Outputs:
        self.batches.append(images.clone())
        self.began.set()
        assert self.gate.wait(WAIT)
        if bool((images < 0).any()):
            raise ValueError("a negative slice")
        mean = images.mean(dim=(1, 2, 3))[:, None].double()
        return Outputs(mean, -mean)


def slice_of(value: float) -> torch.Tensor:
    return torch.full((1, 1, 2, 2), value)


def ask(slow: Slow, values: list[float], slices: int) -> list[float | Exception]:
    """Send the first value alone, all others while it is computed; then open the gate."""
    batcher = DynamicBatcher(slow, slices)

    def one(value: float) -> float | Exception:
        try:
            return float(batcher.logits(slice_of(value)))
        except ValueError as error:
            return error

    with ThreadPoolExecutor(len(values)) as threads:
        first = threads.submit(one, values[0])
        assert slow.began.wait(WAIT)
        others = [threads.submit(one, value) for value in values[1:]]
        while len(batcher._waiting) < len(others):
            pass
        slow.gate.set()
        return [first.result(WAIT), *(other.result(WAIT) for other in others)]


def test_requests_that_arrive_while_it_is_busy_are_computed_together() -> None:
    slow = Slow()
    assert ask(slow, [1, 2, 3, 4, 5, 6], slices=4) == [1, 2, 3, 4, 5, 6]
    assert [int((batch.amax(dim=(1, 2, 3)) > 0).sum()) for batch in slow.batches] == [1, 4, 1]


def test_each_request_gets_the_features_of_its_own_slice() -> None:
    slow = Slow()
    slow.gate.set()
    features = DynamicBatcher(slow, slices=4).outputs(slice_of(3)).features
    assert features is not None
    assert features.tolist() == [[-3.0]]


def test_every_batch_has_the_same_shape() -> None:
    slow = Slow()
    ask(slow, [1, 2, 3], slices=4)
    assert {tuple(batch.shape) for batch in slow.batches} == {(4, 1, 2, 2)}


def test_a_failure_reaches_its_own_batch_and_no_other() -> None:
    slow = Slow()
    answers = ask(slow, [1, -2, 3, 4], slices=2)
    assert answers[0] == 1
    failed = [answer for answer in answers if isinstance(answer, ValueError)]
    assert 1 <= len(failed) <= 2
    assert [answer for answer in answers[1:] if isinstance(answer, float)]


def test_an_answer_does_not_depend_on_other_requests() -> None:
    torch.manual_seed(0)
    batcher = DynamicBatcher(TorchBackend(networks.build(3).eval()), slices=4)
    images = torch.rand(12, 1, 64, 64)
    alone = [batcher.logits(image[None]) for image in images]
    with ThreadPoolExecutor(12) as threads:
        together = list(threads.map(lambda image: batcher.logits(image[None]), images))
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_a_batch_is_computed_as_it_is() -> None:
    slow = Slow()
    slow.gate.set()
    assert DynamicBatcher(slow, slices=4).logits(torch.ones(6, 1, 2, 2)).shape == (6, 1)
    assert [len(batch) for batch in slow.batches] == [6]


@pytest.mark.parametrize("slices", [1, 8])
def test_a_single_request_does_not_wait(slices: int) -> None:
    slow = Slow()
    slow.gate.set()
    assert float(DynamicBatcher(slow, slices).logits(slice_of(0.5))) == 0.5
