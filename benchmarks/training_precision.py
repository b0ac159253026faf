"""A training step in fp32 against one in bfloat16, by torch's autocast with weights in fp32, in turn in one process.

OMP_WAIT_POLICY=PASSIVE python -m benchmarks.training_precision [--image-size 512] [--batch 4] [--rounds 3]

"normalisation in fp32" gives batch normalisation fp32 activations as well as parameters. It prints the seconds of
processor time of each step, which other work on the machine changes less than those by the clock, if threads that wait
do not spin; and each form's loss, which must fall alike. The batch is noise: what a step takes does not depend on it.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn

from model_code.backends import allocator, networks
from model_code.training import convolution

FP32, BF16, NORMS_IN_FP32 = "fp32", "bfloat16", "bfloat16, normalisation in fp32"
CLASSES = 3


class _Norm(nn.BatchNorm2d):
    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return super().forward(maps.float())


class Training:
    """A new network with its optimiser, in one of the forms."""

    def __init__(self, form: str) -> None:
        torch.manual_seed(0)
        self._mixed = form != FP32
        self._network = networks.build(CLASSES)
        convolution.quicken(self._network)
        if form == NORMS_IN_FP32:
            for module in self._network.modules():
                if type(module) is nn.BatchNorm2d:
                    module.__class__ = _Norm
        self._network.train()
        self._optimizer = torch.optim.AdamW(self._network.parameters(), 1e-4)

    def step(self, images: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
        """Learn from one batch; return seconds of processor time, and the loss."""
        began = time.process_time()
        self._optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=self._mixed):
            answered = self._network(images)
        loss = nn.functional.cross_entropy(answered.float(), targets)
        loss.backward()
        self._optimizer.step()
        return time.process_time() - began, loss.item()


def main() -> None:
    """Print each round, and the medians without the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    allocator.keep_freed_memory()
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(options.batch, 1, options.image_size, options.image_size, generator=draw)
    images = images.to(memory_format=torch.channels_last)
    targets = torch.arange(options.batch) % CLASSES
    forms = {form: Training(form) for form in (FP32, BF16, NORMS_IN_FP32)}
    seconds: dict[str, list[float]] = {form: [] for form in forms}
    for number in range(1 + options.rounds):
        for form, training in forms.items():
            spent, loss = training.step(images, targets)
            seconds[form].append(spent)
            print(f"round {number} {form}: {spent:.2f} s, loss {loss:.4f}", flush=True)
    median = {form: statistics.median(each[1:]) for form, each in seconds.items()}
    for form in forms:
        print(f"median {form}: {median[form]:.2f} s, {median[FP32] / median[form]:.2f} x as fast as fp32")


if __name__ == "__main__":
    main()
