"""A synthetic patient's scan: scanner, geometry, dose, reconstruction; chosen independently of the class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wetread.demo.field import Plane


@dataclass(frozen=True)
class Scanner:
    """A make-believe CT model and how it stores pixels: ``bits`` of 16, signed or not, with ``intercept``."""

    manufacturer: str
    model: str
    kernels: tuple[tuple[str, float], ...]
    bits: int
    signed: bool
    intercept: int


SCANNERS = (
    Scanner("Phantom Medical", "Halo 64", (("H31s", 0.45), ("H60s", 1.0)), 12, False, -1024),
    Scanner("Phantom Medical", "Halo 128", (("H30f", 0.4), ("H70f", 1.2)), 12, False, -1024),
    Scanner("Synthetic Imaging", "Torus CT", (("STANDARD", 0.5), ("LUNG", 1.25)), 16, True, 0),
    Scanner("Synthetic Imaging", "Torus 2", (("SOFT", 0.4), ("LUNG", 1.15)), 16, False, -8192),
)


@dataclass(frozen=True)
class Acquisition:
    """One patient's scan; lengths in mm, ``noise`` the standard deviation in HU of the smoothest kernel."""

    scanner: Scanner
    kernel: str
    sharpness: float
    noise: float
    field_of_view: float
    centre: tuple[float, float]
    slice_thickness: float
    kvp: int
    current: int
    sex: str
    age: int
    window: tuple[int, int]
    studies: int

    @classmethod
    def drawn(cls, rng: np.random.Generator, body_width: float) -> Acquisition:
        """Return a plausible protocol that fits a body of half width ``body_width`` mm."""
        scanner = SCANNERS[rng.integers(len(SCANNERS))]
        kernel, sharpness = scanner.kernels[rng.integers(len(scanner.kernels))]
        return cls(
            scanner=scanner,
            kernel=kernel,
            sharpness=sharpness,
            noise=float(rng.uniform(9, 20)),
            field_of_view=round(2 * body_width * float(rng.uniform(1.02, 1.22))),
            centre=(float(rng.uniform(-8, 8)), float(rng.uniform(0, 22))),
            slice_thickness=float(rng.choice([1.0, 1.5, 2.0, 5.0])),
            kvp=int(rng.choice([100, 120, 140])),
            current=int(rng.integers(40, 260)),
            sex=str(rng.choice(["F", "M", "O"], p=[0.48, 0.48, 0.04])),
            age=int(rng.integers(21, 89)),
            window=(50, 350) if rng.random() < 0.5 else (-600, 1200),
            studies=1 if rng.random() < 0.7 else 2,
        )


def reconstruct(hu: Plane, acquisition: Acquisition, rng: np.random.Generator) -> np.ndarray:
    """Return a drawn slice's stored pixel values (rows x columns, 16 bits): kernel, noise and number range applied."""
    soft = hu if acquisition.sharpness >= 1 else _smoothed(hu, 0.16 * (1 - acquisition.sharpness) / 0.6)
    white = rng.standard_normal(hu.shape, dtype=np.float32)
    # A soft kernel correlates neighbouring pixels, a sharp one lets the noise through.
    grain = _smoothed(white, 0.25 * max(0.0, 1.2 - acquisition.sharpness))
    noisy = soft + grain * np.float32(acquisition.noise * (0.6 + 0.9 * acquisition.sharpness))
    scanner = acquisition.scanner
    low = -(1 << (scanner.bits - 1)) if scanner.signed else 0
    floor, ceiling = max(low, -1024 - scanner.intercept), low + (1 << scanner.bits) - 1
    stored: Plane = np.clip(np.rint(noisy) - scanner.intercept, floor, ceiling)
    return stored.astype("<i2" if scanner.signed else "<u2")


def _smoothed(plane: Plane, share: float) -> Plane:
    """Return the image with ``share`` of each pixel given to either neighbour, along rows, then along columns."""
    if share <= 0:
        return plane
    for axis in (0, 1):
        padded = np.pad(plane, [(1, 1) if axis == one else (0, 0) for one in (0, 1)], mode="edge")
        before, after = (padded[:-2], padded[2:]) if axis == 0 else (padded[:, :-2], padded[:, 2:])
        plane = plane * np.float32(1 - 2 * share) + (before + after) * np.float32(share)
    return plane
