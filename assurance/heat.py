"""Compare where the grid of a model is hot with where the lesions of phantoms are.

    python -m assurance.heat [MODEL.tar.gz] [--patients 30]

Without a file it reads with the champion of the local cloud, which `make demo` leaves. A phantom without its lesions is
known, so the lesion is what differs. Heat is the grid of the class less that of "normal", as far as it is above 0. The
hottest position counts as found if the lesion changes it at least half as much as the position that it changes most.
Chance is the share of such positions in the body. The same slices are read mirrored: the heat should be mirrored, too.
The demo's model reads 64 pixels, so its grid has 2 x 2 positions: the quarters of the picture.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from assurance.demo_levels import FIRST_PATIENT, NUMBERS, model_of
from model_code.inference import Model
from model_code.reading.ct_slice import read_slice
from model_code.reading.dicom import read_instance
from wetread.demo.phantoms import LABELS, phantom_bytes
from wetread.demo.story import UPLOAD_SEED
from wetread.demo.training import SIZES

DISEASES = LABELS[1:]
LEAST = 0.002  # of the window: a lesion changes the mean of some position by more, or there is none in the slice
BODY = 0.1  # of the window: brighter than air

Cells = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """Of one slice: whether the hottest position is the lesion's, the chance of that, the heat with and without it.

    ``mirrored``: whether the mirrored slice's hottest position is the same, mirrored.
    """

    found: bool
    chance: float
    heat: float
    healthy: float
    mirrored: bool


def look(model: Model, label: str, patient: int, number: int) -> Seen | None:
    """Return what is seen of one slice of a phantom; None if no lesion is in it."""
    ill, healthy = (_prepared(model, one, patient, number) for one in (label, "normal"))
    grids = model.outputs(torch.stack([ill, healthy, ill.flip(2)])).grid
    if grids is None:
        raise SystemExit("The model has no grid: train it again with this release.")
    at = model.labels.index(label)
    hot, cold, mirrored = (grids[:, at] - grids[:, model.labels.index("normal")]).clamp(min=0).numpy()
    changed = _cells((ill - healthy).abs(), hot.shape)
    if changed.max() <= LEAST:
        return None
    lesion = changed >= changed.max() / 2
    body = _cells(healthy, hot.shape) > BODY
    return Seen(
        found=bool(lesion.flat[int(hot.argmax())]),
        chance=float((lesion & body).sum() / body.sum()),
        heat=float(hot.max()),
        healthy=float(cold.max()),
        mirrored=int(mirrored[:, ::-1].argmax()) == int(hot.argmax()),
    )


def _prepared(model: Model, label: str, patient: int, number: int) -> torch.Tensor:
    body = phantom_bytes(label, patient, number, size=SIZES[0], seed=UPLOAD_SEED)
    return model.prepare(read_slice(read_instance(body)))


def _cells(image: torch.Tensor, shape: tuple[int, ...]) -> Cells:
    """Return the mean of a prepared slice at each position of a grid."""
    found: Cells = torch.nn.functional.adaptive_avg_pool2d(image, shape)[0].double().numpy()
    return found


def main() -> int:
    """Print the table; return 1 unless the heat is where lesions are, more often than by chance, and greater there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a model.tar.gz")
    parser.add_argument("--patients", type=int, default=30, help="of each disease, one slice of each")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model, well = model_of(asked.model), True
    print("| class | slices | hottest position in the lesion | by chance | heat | without lesion | mirrored |")
    print(f"{'|---' * 7}|")
    for label in DISEASES:
        patients = range(asked.patients)
        looked = (look(model, label, FIRST_PATIENT + one, NUMBERS[one % len(NUMBERS)]) for one in patients)
        seen = [one for one in looked if one]
        found, chance = np.mean([one.found for one in seen]), np.mean([one.chance for one in seen])
        heat, healthy = np.median([one.heat for one in seen]), np.median([one.healthy for one in seen])
        same = np.mean([one.mirrored for one in seen])
        print(f"| {label} | {len(seen)} | {found:.0%} | {chance:.0%} | {heat:.1f} | {healthy:.1f} | {same:.0%} |")
        well &= bool(found > chance and heat > healthy)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
