"""Train with each choice and without, from the same seeds, and print what each is worth.

    python -m assurance.training_choices [--seeds 3] [--first 0] [--real FOLDER]

On phantoms: patients of one slice at any level, measured on patients that the training has not seen. With --real also
on a folder of real slices with its manifest.json, divided by slices. The public sample has few patients, each of one
class: there it shows whether a choice hinders learning to tell these slices apart and how stable the answers are, not
how new patients are read.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from assurance.training_choices.choices import Average, Choice, changed, spare_norms
from model_code import calibration
from model_code.backends import networks
from model_code.optimisation.stability import noisy
from model_code.reading.ct_slice import CTSlice, read_slice
from model_code.reading.dicom import read_instance
from model_code.training import fit
from model_code.training.batches import Batches
from model_code.training.dataset import Samples, quantised
from model_code.training.distributed import Worker
from model_code.training.hyperparameters import Hyperparameters
from model_code.training.learner import Learner
from model_code.training.metrics import measure
from model_code.transforms import Preprocessing
from wetread.demo.phantoms import LABELS, POSITIONS, phantom_bytes

ALONE = Worker(0, 1, torch.device("cpu"))
SIDE, PHANTOM_SIDE = 64, 160
SETTINGS = Hyperparameters(epochs=8, batch_size=8, learning_rate=5e-4, image_size=SIDE)
OF_REAL = dataclasses.replace(SETTINGS, epochs=12, batch_size=4)
PATIENTS = {"training": 120, "validation": 48, "test": 150}
WAYS: Mapping[str, frozenset[Choice]] = {
    "as before": frozenset(),
    **{str(one): frozenset({one}) for one in Choice},
    "all three": frozenset(Choice),
}
DIVISIONS = 5  # of the real slices: one validates, one tests

Labelled = tuple[CTSlice, int]


@dataclasses.dataclass(frozen=True)
class Parts:
    """What one training sees, and the slices that it is measured on: as they are, 20 HU brighter, and with noise."""

    training: Samples
    validation: Samples
    patients: int
    test: Samples
    brighter: Samples
    noisy: Samples


@dataclasses.dataclass(frozen=True)
class Figures:
    """Of one training: balanced accuracies, log loss, and how answers move: mean largest |dp|, and changed classes."""

    validation: float
    test: float
    log_loss: float
    brighter: float
    brighter_changed: float
    noisy: float
    noisy_changed: float
    jumps: float
    seconds: float


def brighter(ct_slice: CTSlice) -> CTSlice:
    """Return the slice with 20 HU added."""
    return dataclasses.replace(ct_slice, hounsfield=ct_slice.hounsfield + 20)


def prepared(slices: Sequence[Labelled], change: Callable[[CTSlice], CTSlice] = lambda one: one) -> Samples:
    """Return slices as training keeps them."""
    prepare = Preprocessing(image_size=SIDE).prepare
    images = torch.stack([quantised(prepare(change(one))) for one, _ in slices])
    return Samples(images, torch.tensor([target for _, target in slices]))


def parts_of(training: list[Labelled], validation: list[Labelled], test: list[Labelled], patients: int) -> Parts:
    """Return the parts of one training; ``patients`` are those of the validation part."""
    plain, *moved = (prepared(test, change) for change in (lambda one: one, brighter, noisy))
    return Parts(prepared(training), prepared(validation), patients, plain, *moved)


def phantoms(seed: int, patients: Mapping[str, int] = PATIENTS) -> Parts:
    """Return phantoms of one seed: one slice of each patient, at a level drawn at random."""
    levels = np.random.default_rng(seed)

    def made(first: int, count: int) -> list[Labelled]:
        numbers = [(number, number % len(LABELS), int(levels.integers(POSITIONS))) for number in range(count)]
        bodies = (
            (phantom_bytes(LABELS[c], first + n, level, size=PHANTOM_SIDE, seed=seed), c) for n, c, level in numbers
        )
        return [(read_slice(read_instance(body)), target) for body, target in bodies]

    parts = [made(1000 * place, count) for place, count in enumerate(patients.values())]
    return parts_of(*parts, patients["validation"])


def real(folder: Path, seed: int) -> Parts:
    """Return the slices of a folder with a manifest.json, each class divided at random: three fifths to train on."""
    entries = json.loads((folder / "manifest.json").read_text())
    found = [
        (read_slice(read_instance((folder / one["filename"]).read_bytes())), LABELS.index(one["content"]["label"]))
        for one in entries
    ]
    draw = np.random.default_rng(seed)
    order = sorted(range(len(found)), key=lambda number: (found[number][1], draw.random()))
    dealt = [[found[one] for place, one in enumerate(order) if place % DIVISIONS == part] for part in range(DIVISIONS)]
    validation, test, *rest = dealt
    return parts_of([one for part in rest for one in part], validation, test, 1)


def train(parts: Parts, settings: Hyperparameters, choices: frozenset[Choice]) -> tuple[fit.Best, list[float]]:
    """Return the best epoch, as `fit` chooses it, and the balanced accuracy of validation after each epoch.

    Averaged weights are used after an epoch in which they validate better.
    """
    batches = Batches(parts.training, settings.batch_size, len(parts.training), settings.seed, ALONE)
    steps = settings.epochs * len(batches)
    weights = fit.class_weights(torch.bincount(parts.training.targets, minlength=len(LABELS)))
    learner = Learner(weights, steps, settings, ALONE)
    if Choice.DECAY in choices:
        spare_norms(learner, steps, settings)
    average = Average(learner.network, steps) if Choice.AVERAGE in choices else None
    best: fit.Best | None = None
    curve: list[float] = []
    for epoch in range(1, settings.epochs + 1):
        learner.begin_epoch()
        for images, targets in epochs_batches(batches, epoch, settings, choices):
            learner.step(images, targets)
            if average:
                average.add()
        candidates = [learner.network]
        if average:
            average.normalise(epochs_batches(batches, epoch, settings, choices))
            candidates.append(average.network)
        found = [_validated(one, epoch, parts) for one in candidates]
        curve.append(max(balanced_accuracy(one) for one in found))
        for one in found:
            metrics = one.metrics(LABELS)
            if best is None or (metrics and metrics.better_than(best.metrics(LABELS))):
                best = one
    assert best is not None
    return best, curve


def epochs_batches(
    batches: Batches, epoch: int, settings: Hyperparameters, choices: frozenset[Choice]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Return an epoch's batches with or without changes of intensity, the same at each call."""
    return changed(batches, epoch, settings.seed) if Choice.INTENSITY in choices else batches.of(epoch)


def balanced_accuracy(one: fit.Best) -> float:
    """Return the balanced accuracy of an epoch's validation."""
    metrics = one.metrics(LABELS)
    return metrics.balanced_accuracy if metrics else float("nan")


def measured(parts: Parts, settings: Hyperparameters, choices: frozenset[Choice]) -> Figures:
    """Train, calibrate as a training job does, and measure."""
    started = time.process_time()
    best, curve = train(parts, settings, choices)
    seconds = time.process_time() - started
    counts = torch.bincount(parts.training.targets, minlength=len(LABELS)).tolist()
    calibrated = calibration.calibrate(best.logits, best.targets, counts, parts.patients)
    network = networks.build(len(LABELS), settings.network)
    network.load_state_dict(best.weights)
    networks.add_to_logits(network, calibrated.of_logits)
    plain, *moved = (
        calibration.probabilities(fit.answers(network, one), calibrated.temperature)
        for one in (parts.test, parts.brighter, parts.noisy)
    )
    metrics = measure(plain, parts.test.targets, LABELS)
    by = [float((one - plain).abs().amax(1).mean()) for one in moved]
    classes = [float((one.argmax(1) != plain.argmax(1)).double().mean()) for one in moved]
    jumps = float(np.abs(np.diff(curve[(len(curve) - 1) // 2 :])).mean())
    return Figures(
        balanced_accuracy(best),
        metrics.balanced_accuracy,
        metrics.loss,
        by[0],
        classes[0],
        by[1],
        classes[1],
        jumps,
        seconds,
    )


def table(found: Mapping[str, Sequence[Figures]]) -> list[str]:
    """Return the lines of a table: means over the seeds, and in brackets the test figures' differences to the first."""
    lines = [
        "| training | validation | test | log loss | +20 HU: dp, classes | noise: dp, classes | jumps | CPU |",
        "|---" * 8 + "|",
    ]
    first = next(iter(found.values()))
    for name, figures in found.items():
        mean = {one.name: np.mean([getattr(of, one.name) for of in figures]) for one in dataclasses.fields(Figures)}
        better = "/".join(f"{100 * (one.test - other.test):+.0f}" for one, other in zip(figures, first, strict=True))
        moved = [f"{mean[one]:.3f}, {mean[f'{one}_changed']:.1%}" for one in ("brighter", "noisy")]
        cells = [
            name,
            f"{mean['validation']:.2f}",
            f"{mean['test']:.3f} ({better})",
            f"{mean['log_loss']:.3f}",
            *moved,
            f"{mean['jumps']:.2f}",
            f"{mean['seconds']:.0f} s",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _validated(network: torch.nn.Module, epoch: int, parts: Parts) -> fit.Best:
    weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    return fit.Best(epoch, weights, fit.answers(network, parts.validation), parts.validation.targets)


def main() -> int:
    """Train, and print a table for phantoms and one for real slices."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--real", type=Path, help="a folder of real slices with its manifest.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(options.first, options.first + options.seeds)
    trained: dict[str, tuple[Hyperparameters, Callable[[int], Parts]]] = {"phantoms": (SETTINGS, phantoms)}
    if options.real:
        trained["real slices"] = (OF_REAL, lambda seed: real(options.real, seed))
    for what, (settings, parts_for) in trained.items():
        found: dict[str, list[Figures]] = {name: [] for name in WAYS}
        for seed in seeds:
            parts = parts_for(seed)
            for name, choices in WAYS.items():
                one = measured(parts, dataclasses.replace(settings, seed=seed), choices)
                found[name].append(one)
                print(json.dumps({"on": what, "seed": seed, "way": name, **dataclasses.asdict(one)}), file=sys.stderr)
        print(f"\n{what}, seeds {seeds[0]} to {seeds[-1]}\n")
        print("\n".join(table(found)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
