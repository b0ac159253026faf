"""What a grid costs: the network with one and without, in turn, in OpenVINO's fp32, by processor time.

python -m benchmarks.grid [--size 512] [--rounds 8] [--slices 12]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from model_code.backends import networks
from model_code.backends.backend import Backend
from model_code.backends.openvino_backend import OpenVinoBackend
from model_code.optimisation.export import export


def main() -> None:
    """Time both and print the ratio of each round, their median, and the bytes that a grid adds to an answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--slices", type=int, default=12)
    asked = parser.parse_args()
    torch.manual_seed(0)
    images = torch.rand(asked.slices, 1, asked.size, asked.size)
    model = export(networks.build(3).eval(), asked.size)
    with_grid = OpenVinoBackend(model)
    without = model.clone()
    without.remove_result(without.outputs[2].get_node())
    backends = {"without": OpenVinoBackend(without), "with": with_grid}
    ratios = []
    for number in range(asked.rounds + 1):
        took = {name: _seconds(backend, images) for name, backend in backends.items()}
        if number:  # the first round warms both up
            ratios.append(took["with"] / took["without"])
    print(f"{asked.slices} slices of {asked.size} x {asked.size}, {asked.rounds} rounds, processor time")
    print("with a grid / without:", " ".join(f"{one:.3f}" for one in ratios))
    print(f"median {statistics.median(ratios):.4f}")
    grid = with_grid.outputs(images[:1]).grid
    assert grid is not None
    print(f"a grid of {' x '.join(map(str, grid.shape[1:]))}: {grid.numel() * 2 * 4 // 3:,} bytes of an answer")


def _seconds(backend: Backend, images: torch.Tensor) -> float:
    started = time.process_time()
    for image in images:
        backend.outputs(image[None])
    return time.process_time() - started


if __name__ == "__main__":
    main()
