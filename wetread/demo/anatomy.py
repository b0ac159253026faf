"""The healthy chest: an axial slice in Hounsfield units, drawn from one patient's proportions at one level.

The patient lies on the back; the level runs from 0 (lung apex) to 1 (liver dome). Nothing is measured from a person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wetread.demo.field import Grid, Plane, branches, cover, disc, ellipse, oval, paint, smooth_noise, stamp

AIR, FAT, MUSCLE, BLOOD, LIVER, BONE = -1000.0, -100.0, 45.0, 42.0, 58.0, 480.0


@dataclass(frozen=True)
class Physique:
    """The proportions of one synthetic patient, all lengths in millimetres."""

    width: float
    depth: float
    fat: float
    heart: float
    lung: float
    tilt: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Physique:
        """Return a plausible adult."""
        width = rng.uniform(158, 192)
        return cls(
            width=width,
            depth=width * rng.uniform(0.65, 0.76),
            fat=rng.uniform(9, 22),
            heart=rng.uniform(0.88, 1.15),
            lung=rng.uniform(-872, -835),
            tilt=rng.uniform(-6, 6),
        )


@dataclass(frozen=True)
class Chest:
    """A drawn slice: ``hu`` (rows x columns, HU), what the lesions need of it, and its grid."""

    hu: Plane
    lungs: Plane
    pleura: Plane
    grid: Grid
    half_width: float
    half_depth: float


def draw(physique: Physique, level: float, grid: Grid, rng: np.random.Generator) -> Chest:
    """Draw one slice at ``level``; ``rng`` adds what differs between slices, such as the cut vessels."""
    size, px = grid.y.shape[0], grid.spacing
    bent = grid.warped(rng, 2.4)
    taper = 0.70 + 0.30 * math.sin(min(1.0, 0.25 + level) * math.pi / 2)
    body_b = physique.depth * (0.92 + 0.08 * taper)
    cage_a = (physique.width - physique.fat - 12) * taper
    cage_b = (body_b - physique.fat * 0.8 - 11) * (0.80 + 0.20 * taper)

    hu = np.full((size, size), AIR, np.float32)
    _table(hu, grid, body_b)
    body = oval(bent, 0, 0, physique.width * (0.96 + 0.04 * level), body_b)
    paint(hu, cover(body, px), FAT + smooth_noise(rng, size, size * px, 12) * 9)
    cage = oval(bent, 0, 0, cage_a, cage_b)
    wall = _chest_wall(physique, level, bent, cage, body_b)
    paint(hu, cover(np.maximum(wall, body + np.float32(3)), px), MUSCLE)

    pleura = cage + np.float32(6)
    mediastinum = _between_lungs(bent, level, physique, (cage_a, cage_b))
    inside = np.maximum(pleura, -mediastinum)
    paint(hu, cover(cage + np.float32(4), px), MUSCLE - 25)
    lungs = cover(inside, px)
    paint(hu, lungs, _parenchyma(physique, grid, rng))
    _vessels(hu, inside, grid, (cage_a, cage_b), rng)
    _organs(hu, bent, level, physique, (cage_a, cage_b))
    _ribs(hu, bent, cage, (cage_a, cage_b), level)
    _spine_and_sternum(hu, bent, physique, level, cage_b)
    if level < 0.5:
        _shoulder_blades(hu, bent, cage, (cage_a, cage_b))
    return Chest(hu, lungs, pleura, grid, cage_a - 6, cage_b - 6)


def _table(hu: Plane, grid: Grid, body_b: float) -> None:
    """Draw the patient table: two thin shells with foam between them."""
    sag = grid.y - np.float32(body_b + 12) + (grid.x * grid.x) * np.float32(0.0009)
    first = max(0, int((body_b - 40 - grid.top) / grid.spacing))
    sag, hu = sag[first:], hu[first:]
    hu += cover(np.abs(sag) - np.float32(1.4), grid.spacing) * np.float32(760)
    hu += cover(np.abs(sag - np.float32(26)) - np.float32(1.2), grid.spacing) * np.float32(640)
    hu += cover(np.abs(sag - np.float32(13)) - np.float32(11), grid.spacing) * np.float32(45)


def _chest_wall(physique: Physique, level: float, grid: Grid, cage: Plane, body_b: float) -> Plane:
    """Return the signed distance to the muscles: thicker at the back, pectoral in front, heavy near the apex."""
    thickness = 5 + 12 * max(0.0, 0.5 - level)
    distance = cage - np.float32(thickness) - np.clip(grid.y, 0, 60) * np.float32(0.16)
    for side in (-1, 1):
        shapes = [(physique.width * 0.46, -body_b * 0.80, physique.width * 0.36, 8 + body_b * 0.07)]
        if level < 0.62:
            shapes.append((physique.width * 0.60, body_b * 0.68, 40, 18))
        for cx, cy, a, b in shapes:
            window, part = grid.window(side * cx, cy, a + 4, b + 4)
            distance[window] = np.minimum(distance[window], ellipse(part, side * cx, cy, a, b))
    return distance


def _heart(level: float, physique: Physique, b: float) -> tuple[float, float, float, float] | None:
    """Return the heart at this level as an ellipse, or None above it."""
    if level <= 0.36:
        return None
    grown = min(1.0, (level - 0.36) / 0.3)
    size = (26 + 30 * grown) * physique.heart
    return 12 + 15 * grown, -b * 0.30, size * 1.08, size * 0.84


def _liver(level: float, a: float, b: float) -> tuple[float, float, float, float] | None:
    """Return the dome of the liver at this level as an ellipse, or None above it."""
    if level <= 0.80:
        return None
    dome = math.sqrt((level - 0.80) / 0.20)
    return -a * 0.44, -b * 0.22, a * 0.62 * dome, b * 0.70 * dome


def _between_lungs(grid: Grid, level: float, physique: Physique, cage: tuple[float, float]) -> Plane:
    """Return the signed distance to all between the lungs: great vessels, heart, spine and, low down, the liver."""
    a, b = cage
    narrow = 17 + 9 * math.sin(min(1.0, level * 1.5) * math.pi)
    shapes = [(2, -b * 0.28, narrow, b * 0.64), (physique.tilt, b * 0.78, 25, b * 0.46), (20, b * 0.40, 13, 13)]
    shapes += [shape for shape in (_heart(level, physique, b), _liver(level, a, b)) if shape]
    distance: Plane = np.abs(grid.x - np.float32(physique.tilt / 2)) - np.float32(2.5)
    for cx, cy, half_a, half_b in shapes:
        window, part = grid.window(cx, cy, half_a + 4, half_b + 4)
        distance[window] = np.minimum(distance[window], ellipse(part, cx, cy, half_a, half_b))
    return distance


def _organs(hu: Plane, grid: Grid, level: float, physique: Physique, cage: tuple[float, float]) -> None:
    """Draw liver, heart, great vessels, oesophagus and airway."""
    a, b = cage
    disc(hu, grid, (2, -b * 0.30, 12, b * 0.36), FAT + 100, 6)
    if liver := _liver(level, a, b):
        disc(hu, grid, liver, LIVER)
    if heart := _heart(level, physique, b):
        cx, cy, half_a, half_b = heart
        disc(hu, grid, heart, FAT + 60)
        disc(hu, grid, (cx, cy, half_a * 0.93, half_b * 0.93), BLOOD)
        disc(hu, grid, (cx + 8, cy + 6, half_a * 0.40, half_b * 0.42), BLOOD + 22, 8)
    elif level > 0.14:
        disc(hu, grid, (-16, -b * 0.38, 9, 11), BLOOD + 6)
        disc(hu, grid, (4, -b * 0.40, 16, 15), BLOOD + 12)
    disc(hu, grid, (20, b * 0.40, 11.5, 11.5), BLOOD + 14)
    disc(hu, grid, (4, b * 0.30, 6, 5), 35)
    if level < 0.42:
        disc(hu, grid, (physique.tilt - 3, b * 0.02, 9.5, 8.5), 20)
        disc(hu, grid, (physique.tilt - 3, b * 0.02, 8.0, 7.2), AIR + 15)
    elif level < 0.60:
        spread = 13 + 70 * (level - 0.42)
        for cx in (1 - spread, 1 + spread):
            disc(hu, grid, (cx, b * 0.08, 8.2, 6.8), 30)
            disc(hu, grid, (cx, b * 0.08, 6.4, 5.0), AIR + 25)


def _ribs(hu: Plane, grid: Grid, cage: Plane, half: tuple[float, float], level: float) -> None:
    """Draw ribs; an axial slice cuts them obliquely, so each shows as a piece of the cage's outline."""
    rows, columns = np.nonzero((np.abs(cage) < 6) & (np.abs(grid.x) > 24))
    x, y, off = (
        grid.x[rows, columns] / np.float32(half[0]),
        grid.y[rows, columns] / np.float32(half[1]),
        cage[rows, columns],
    )
    rhythm = np.sin(np.abs(np.arctan2(y, x)) * np.float32(9) + np.float32(level * 40) + np.abs(x) * np.float32(0.8))
    for half_thickness, threshold, value in ((3.9, 0.30, BONE + 180), (1.9, 0.50, 190.0)):
        outside = np.maximum(
            np.abs(off) - np.float32(half_thickness), (np.float32(threshold) - rhythm) * np.float32(14)
        )
        hu[rows, columns] += cover(outside, grid.spacing, 1.4) * (np.float32(value) - hu[rows, columns])


def _spine_and_sternum(hu: Plane, grid: Grid, physique: Physique, level: float, b: float) -> None:
    """Draw the vertebra with its canal and processes, and the sternum below the apex."""
    centre = b * 0.70
    for cx, cy, half_a, half_b, value in (
        (0.0, centre, 17.0, 14.0, BONE),
        (0.0, centre, 14.8, 11.8, 190.0),
        (0.0, centre + 23, 18.0, 10.0, BONE - 40),
        (0.0, centre + 31, 4.0, 13.0, BONE),
        (-24.0, centre + 19, 14.0, 5.0, BONE - 90),
        (24.0, centre + 19, 14.0, 5.0, BONE - 90),
        (0.0, centre + 20, 9.0, 8.0, 25.0),
    ):
        disc(hu, grid, (cx + physique.tilt, cy, half_a, half_b), value)
    if level > 0.12:
        disc(hu, grid, (0, -b + 2, 22, 5.8), BONE - 60)
        disc(hu, grid, (0, -b + 2, 19, 3.8), 160)


def _shoulder_blades(hu: Plane, grid: Grid, cage: Plane, half: tuple[float, float]) -> None:
    """Draw the blades of the scapulae: slanted thin plates behind the ribs."""
    for side in (-1, 1):
        cx, cy = side * half[0] * 0.72, half[1] * 0.84
        window, part = grid.window(cx, cy, 30, 26)
        along = (part.x - np.float32(cx)) * np.float32(side)
        plate = np.abs(part.y - np.float32(cy) + along * np.float32(0.62)) - np.float32(3)
        plate = np.maximum(np.maximum(plate, np.abs(along) - np.float32(24)), np.float32(6) - cage[window])
        paint(hu[window], cover(plate, grid.spacing, 1.5), BONE + 60)


def _parenchyma(physique: Physique, grid: Grid, rng: np.random.Generator) -> Plane:
    """Draw aerated lung: denser towards the back, where blood pools, and finely mottled."""
    size = grid.y.shape[0]
    extent = size * grid.spacing
    mottle = smooth_noise(rng, size, extent, 30) * np.float32(12) + smooth_noise(rng, size, extent, 6) * np.float32(9)
    pooled: Plane = np.clip(grid.y + np.float32(30), 0, 140) * np.float32(0.42)
    return mottle + pooled + np.float32(physique.lung)


def _vessels(hu: Plane, lung: Plane, grid: Grid, half: tuple[float, float], rng: np.random.Generator) -> None:
    """Draw vessels as the slice cuts them: branching lengthwise near the hilum, dots towards the periphery."""
    a, b = half
    layer = np.zeros_like(hu)
    for side in (-1, 1):
        hilum = (side * a * 0.27, b * 0.08)
        walks = branches(rng, hilum, 0.0 if side > 0 else math.pi, 2.1, int(rng.integers(3, 6)), min(half))
        stamp(layer, grid, walks[walks[:, 2] > 1.5], 880)
        stamp(layer, grid, walks[walks[:, 2] <= 1.5], 860)
        dots = rng.uniform((a * 0.14, -b * 0.9, 0), (a * 0.95, b * 0.9, 1), (150, 3)).astype(np.float32)
        dots[:, 0] *= side
        spread = np.hypot(dots[:, 0] - hilum[0], dots[:, 1] - hilum[1]) / a
        dots[:, 2] = (0.45 + 1.5 * dots[:, 2] ** 3) * np.clip(1.25 - spread, 0.35, 1)
        stamp(layer, grid, dots, 780)
    hu += np.minimum(layer * cover(lung + np.float32(1.5), grid.spacing, 3), np.maximum(30 - hu, 0))
