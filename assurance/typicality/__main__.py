"""Train a model on phantoms with the container's own command, and count what it abstains on.

Unseen phantoms of every level, from another seed, should be answered; foreign pictures should not. The pictures go to
the network without the checks that refuse many of them before (model_code/reading/hounsfield.py), so that typicality is
measured alone.

    python -m assurance.typicality [--seeds 0,1] [--patients 120] [--slices 2] [--pictures 60] [--image-size 96]
                                   [--epochs 8]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from assurance.typicality.foreign import KINDS
from model_code.container import Container
from model_code.inference import Model, model_fn
from model_code.reading.ct_slice import CTSlice, read_slice
from model_code.reading.dicom import read_instance
from model_code.training.train import train
from tests.snapshots import Labelled, write_snapshot
from wetread.demo.phantoms import LABELS, phantom_bytes

LEVELS = 16  # the first so many slice numbers of a phantom are spread over the chest
UNSEEN = 1000  # what is added to a seed for patients that the training has not seen
SIDE = 160
MOST_FALSE, LEAST_FOUND = 0.06, 0.99
BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is trained and measured: patients with so many slices each, and pictures of each kind."""

    patients: int = 120
    slices: int = 2
    pictures: int = 60
    image_size: int = 96
    epochs: int = 8


@dataclass(frozen=True)
class Counted:
    """Of so many pictures, how many the model abstained on, and the median of score / threshold."""

    pictures: int
    abstained: int
    ratio: float

    @property
    def share(self) -> float:
        """The share that the model abstained on."""
        return self.abstained / self.pictures


def cohort(size: Size, seed: int) -> Iterator[Labelled]:
    """Yield phantoms: three of four patients to train on, one to validate; levels are dealt over the patients."""
    dealt = np.random.default_rng(seed).permutation([LABELS[number % 3] for number in range(size.patients)])
    of_class = dict.fromkeys(LABELS, 0)
    for patient, label in enumerate(dealt.tolist()):
        of_class[label] += 1
        split = "validation" if of_class[label] % 4 == 0 else "train"
        for number in range(size.slices):
            level = (patient * size.slices + number) % LEVELS
            body = phantom_bytes(label, patient, level, size=SIDE, seed=seed)
            yield Labelled(body, label, f"P{patient}", split)


def trained(size: Size, seed: int, folder: Path) -> Model:
    """Return a model that the container's command has trained on a cohort of phantoms below ``folder``."""
    write_snapshot(folder / "input/data", cohort(size, seed))
    container = Container(folder)
    container.hyperparameters.parent.mkdir(parents=True)
    settings = {"epochs": size.epochs, "image_size": size.image_size, "batch_size": 8, "learning_rate": 5e-4}
    container.hyperparameters.write_text(json.dumps({name: str(value) for name, value in settings.items()}))
    train(container)
    return model_fn(str(container.model_dir))


def unseen(size: Size, seed: int) -> Iterator[CTSlice]:
    """Yield slices of new phantom patients, four a patient, at every level and of every class."""
    for number in range(4 * size.pictures):
        patient, level = number // 4, (5 * number) % LEVELS
        body = phantom_bytes(LABELS[patient % 3], patient, level, size=SIDE, seed=seed + UNSEEN)
        yield read_slice(read_instance(body))


def foreign(kind: Callable[[np.random.Generator], np.ndarray], size: Size, seed: int) -> Iterator[CTSlice]:
    """Yield pictures of one kind."""
    rng = np.random.default_rng([seed, 1])
    for _ in range(size.pictures):
        yield CTSlice(kind(rng))


def counted(model: Model, slices: Iterator[CTSlice]) -> Counted:
    """Return how many of the slices the model abstains on."""
    images = torch.stack([model.prepare(one) for one in slices])
    scores = torch.cat([model.scores(model.outputs(batch)) for batch in images.split(BATCH)])  # type: ignore[misc]
    if model.typicality is None:
        raise SystemExit("The model has no typicality: train on more patients.")
    abstained = sum(map(model.typicality.abstains, scores.tolist()))
    return Counted(len(images), abstained, float(scores.median()) / model.typicality.record.threshold)


def measure(size: Size, seed: int, folder: Path) -> dict[str, Counted]:
    """Return the counts by kind of a model of one seed; "unseen phantoms" first."""
    model = trained(size, seed, folder)
    return {"unseen phantoms": counted(model, unseen(size, seed))} | {
        name: counted(model, foreign(kind, size, seed)) for name, kind in KINDS.items()
    }


def holds(found: dict[str, Counted]) -> bool:
    """Return whether few unseen phantoms, and almost all foreign pictures, were abstained on."""
    ours, *others = found.values()
    return ours.share <= MOST_FALSE and all(one.share >= LEAST_FOUND for one in others)


def main() -> int:
    """Measure, print, and return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for one in fields(Size):
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=int, default=one.default)
    parser.add_argument("--seeds", default="0", help="one model for each, each of another cohort")
    options = parser.parse_args()
    size = Size(**{one.name: getattr(options, one.name) for one in fields(Size)})
    held = True
    for seed in (int(one) for one in options.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(size, seed, Path(folder))
        for name, one in found.items():
            share = f"{one.abstained:4} of {one.pictures:4} abstained on ({one.share:7.2%})"
            print(f"seed {seed}  {name:16} {share}, median score {one.ratio:6.2f} x threshold", flush=True)
        held &= holds(found)
    print(
        f"goals: at most {MOST_FALSE:.0%} of unseen phantoms, at least {LEAST_FOUND:.0%} of each foreign kind:", end=" "
    )
    print("met" if held else "MISSED")
    return not held


if __name__ == "__main__":
    sys.exit(main())
