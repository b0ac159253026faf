"""Pictures that no model of chest CT has been trained on, in Hounsfield units; each draw is another picture.

They are crude on purpose where a person would not be fooled, and otherwise as near to a chest as their kind is: an
abdomen has a trunk, a table and a spine, a localizer and an X-ray have lungs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from model_code.reading.ct_slice import read_slice
from model_code.reading.dicom import read_instance
from wetread.demo.anatomy import BONE, FAT, LIVER, MUSCLE
from wetread.demo.field import Grid, Plane, cover, disc, ellipse, oval, paint, smooth_noise
from wetread.demo.phantoms import LABELS, phantom_bytes

SIDE = 160
SEED = 7  # of the chests whose units are spoilt: other patients than any cohort's here


def abdomen(rng: np.random.Generator) -> Plane:
    """Return a trunk below the lungs: liver, spleen, kidneys, spine, and gas in the bowel."""
    width = rng.uniform(140, 190)
    depth, fat = width * rng.uniform(0.62, 0.76), rng.uniform(8, 35)
    grid = Grid.of(SIDE, 2 * width * rng.uniform(1.05, 1.25) / SIDE, (0, rng.uniform(0, 20))).warped(rng, 2.4)
    hu = np.full((SIDE, SIDE), -1000, np.float32)
    paint(hu, cover(oval(grid, 0, 0, width, depth), grid.spacing), FAT + _mottle(rng, 9))
    paint(hu, cover(oval(grid, 0, 0, width - fat, depth - fat), grid.spacing), MUSCLE + _mottle(rng, 8))
    paint(hu, cover(oval(grid, 0, -8, width - fat - 14, depth - fat - 16), grid.spacing), FAT + 10)
    disc(hu, grid, (-width * 0.38, -depth * 0.1, width * 0.42, depth * 0.5), LIVER)
    disc(hu, grid, (width * 0.55, depth * 0.15, width * 0.16, depth * 0.26), LIVER - 8)
    for side in (-1, 1):
        disc(hu, grid, (side * width * 0.36, depth * 0.38, 26, 30), rng.uniform(30, 170))
    for _ in range(int(rng.integers(2, 9))):
        at = rng.uniform(-0.55, 0.55) * width, rng.uniform(-0.55, 0.2) * depth
        disc(hu, grid, (*at, rng.uniform(8, 20), rng.uniform(7, 14)), 35)
        if rng.random() < 0.6:
            disc(hu, grid, (*at, rng.uniform(5, 12), rng.uniform(4, 9)), -950)
    disc(hu, grid, (0, depth * 0.62, 19, 15), BONE)
    disc(hu, grid, (0, depth * 0.62, 16, 12), 190)
    disc(hu, grid, (6, depth * 0.36, 11, 11), rng.uniform(40, 250))
    return _grained(hu, rng)


def head(rng: np.random.Generator) -> Plane:
    """Return a skull with brain and ventricles."""
    a, b = rng.uniform(66, 80), rng.uniform(84, 102)
    grid = Grid.of(SIDE, rng.uniform(210, 270) / SIDE, (rng.uniform(-6, 6), rng.uniform(-8, 8))).warped(rng, 1.5)
    hu = np.full((SIDE, SIDE), -1000, np.float32)
    thick = rng.uniform(4, 9)
    for less, value in ((0.0, 30.0), (5.0, rng.uniform(800, 1500)), (5 + thick, 35.0)):
        disc(hu, grid, (0, 0, a - less, b - less), value)
    hu += cover(ellipse(grid, 0, 0, a - 14, b - 14), grid.spacing) * _mottle(rng, 6)
    for side in (-1, 1):
        disc(hu, grid, (side * rng.uniform(6, 12), rng.uniform(-12, 12), rng.uniform(4, 9), rng.uniform(14, 26)), 8)
    if rng.random() < 0.5:
        disc(hu, grid, (0, -b * 0.84, rng.uniform(8, 20), 7), -950)
    return _grained(hu, rng)


def localizer(rng: np.random.Generator) -> Plane:
    """Return the projection of a trunk as CT scanners store it: air -1000, the densest ray some hundred."""
    rays = _projection(rng)
    return _grained(-1000 + rays / rays.max() * np.float32(rng.uniform(900, 1600)), rng)


def x_ray(rng: np.random.Generator) -> Plane:
    """Return a radiograph of 10 or 12 bits, white or black bones, read as if its grey levels were CT numbers."""
    grey = 1 - np.exp(-_projection(rng) / np.float32(rng.uniform(60, 140)))
    levels = float(rng.choice([1023, 4095]))
    grey = (grey if rng.random() < 0.5 else 1 - grey) * np.float32(levels)
    return _grained(grey - np.float32(rng.choice([0, 1024])), rng)


def mr(rng: np.random.Generator) -> Plane:
    """Return a magnitude image of a trunk or a head: bright fat or fluid, dark air and bone, an uneven coil."""
    ct = abdomen(rng) if rng.random() < 0.5 else head(rng)
    fat, water, dark = (rng.uniform(*one) for one in ((300, 1200), (150, 900), (0, 60)))
    image = np.select([ct < -300, ct < -40, ct < 150], [dark, fat, water], dark * 1.5).astype(np.float32)
    image *= np.exp(smooth_noise(rng, SIDE, 400, 200) * np.float32(0.25))
    real, imaginary = (rng.normal(0, 20, image.shape) for _ in range(2))
    magnitude: Plane = np.hypot(image + real, imaginary).astype(np.float32)
    return magnitude - np.float32(rng.choice([0, 1024]))


def noise(rng: np.random.Generator) -> Plane:
    """Return white or smooth noise in one of several ranges."""
    if rng.random() < 0.5:
        low, high = rng.choice([(-1024, 3071), (-1000, 0), (-1350, 150)])
        made: Plane = rng.uniform(low, high, (SIDE, SIDE)).astype(np.float32)
        return made
    smooth = smooth_noise(rng, SIDE, SIDE, rng.uniform(2, 40))
    return smooth * np.float32(rng.uniform(100, 500)) - np.float32(rng.uniform(200, 800))


def wrong_rescale(rng: np.random.Generator) -> Plane:
    """Return an unseen phantom whose intercept is missing or doubled, whose slope is wrong, or which is inverted."""
    body = phantom_bytes(LABELS[rng.integers(3)], int(rng.integers(1000)), int(rng.integers(256)), size=SIDE, seed=SEED)
    hu = read_slice(read_instance(body)).hounsfield
    spoil: Callable[[Plane], Plane] = (
        lambda hu: hu + 1024,
        lambda hu: hu - 1024,
        lambda hu: hu + 1000,
        lambda hu: (hu + 1024) * 2 - 1024,
        lambda hu: (hu + 1024) / 10,
        lambda hu: -hu,
    )[rng.integers(6)]
    return spoil(hu)


KINDS: dict[str, Callable[[np.random.Generator], Plane]] = {
    "abdomen": abdomen,
    "head": head,
    "localizer": localizer,
    "MR": mr,
    "X-ray": x_ray,
    "noise": noise,
    "wrong rescale": wrong_rescale,
}


def _projection(rng: np.random.Generator) -> Plane:
    """Return the thickness (mm of water) of a chest seen from the front: trunk, lungs, mediastinum, spine, ribs."""
    grid = Grid.of(SIDE, rng.uniform(380, 480) / SIDE, (rng.uniform(-15, 15), rng.uniform(-20, 20))).warped(rng, 3)
    half = rng.uniform(150, 185)
    across = np.clip(1 - np.square(grid.x / np.float32(half)), 0, 1)
    rays: Plane = np.sqrt(across) * np.float32(rng.uniform(190, 250))
    for side in (-1, 1):
        lung = cover(ellipse(grid, side * half * 0.48, -20, half * 0.36, rng.uniform(120, 150)), grid.spacing, 6)
        rays -= lung * np.float32(rng.uniform(90, 130))
    rays += cover(np.abs(grid.x) - np.float32(17), grid.spacing, 3) * np.float32(45)
    rays += cover(ellipse(grid, 22, 35, rng.uniform(45, 65), 60), grid.spacing, 4) * np.float32(60)
    ribs = np.sin(grid.y / np.float32(rng.uniform(4, 6)) + np.abs(grid.x) * np.float32(0.03)) > 0.4
    return np.maximum(rays + ribs * (across > 0.05) * np.float32(14), 0)


def _mottle(rng: np.random.Generator, deviation: float) -> Plane:
    return smooth_noise(rng, SIDE, 400, 12) * np.float32(deviation)


def _grained(hu: Plane, rng: np.random.Generator) -> Plane:
    grained: Plane = hu + rng.normal(0, rng.uniform(8, 25), hu.shape).astype(np.float32)
    return grained
