"""Draw disease into a chest: a lobar pneumonia (``cap``) or the ground-glass patches of ``covid``.

Where and how much is the patient's; the outline and the texture change from slice to slice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wetread.demo.anatomy import Chest
from wetread.demo.field import Plane, branches, cover, ellipse, smooth_noise, stamp


@dataclass(frozen=True)
class Focus:
    """One diseased region: ``side`` -1 is the patient's right; ``angle`` is measured from lateral towards the back."""

    side: int
    angle: float
    size: float
    density: float


def foci(label: str, rng: np.random.Generator) -> tuple[Focus, ...]:
    """Return the diseased regions of a patient of class ``label``; none for ``normal``."""
    if label == "cap":
        side = -1 if rng.random() < 0.6 else 1
        first = Focus(side, rng.uniform(-0.5, 1.2), rng.uniform(46, 72), rng.uniform(15, 45))
        if rng.random() < 0.15:
            return first, Focus(-side, rng.uniform(0.3, 1.1), rng.uniform(26, 36), first.density)
        return (first,)
    if label == "covid":
        return tuple(
            Focus(side, angle + rng.normal(0, 0.12), rng.uniform(20, 38), rng.uniform(240, 420))
            for side in (-1, 1)
            for angle in np.linspace(-0.55, 1.25, int(rng.integers(2, 5)))
        )
    return ()


def apply(chest: Chest, found: tuple[Focus, ...], label: str, rng: np.random.Generator) -> None:
    """Draw the lesions of one slice into ``chest.hu`` in place."""
    if label == "cap":
        for focus in found:
            _consolidate(chest, focus, rng)
    elif label == "covid":
        _ground_glass(chest, found, rng)


def _centre(chest: Chest, focus: Focus, depth: float) -> tuple[float, float]:
    """Return a point ``depth`` (0 pleura to 1 centre) along the focus's ray."""
    x = focus.side * chest.half_width * math.cos(focus.angle) * (1 - depth)
    return x, chest.half_depth * math.sin(focus.angle) * (1 - depth)


def _consolidate(chest: Chest, focus: Focus, rng: np.random.Generator) -> None:
    """Draw a lobe filled with exudate: dense, one border a sharp fissure, the rest ragged, air in its bronchi."""
    size, px = chest.hu.shape[0], chest.grid.spacing
    extent = size * px
    cx, cy = _centre(chest, focus, 0.18)
    reach = focus.size * rng.uniform(0.8, 1.15)
    ragged = smooth_noise(rng, size, extent, 26) * np.float32(5) + smooth_noise(rng, size, extent, 8) * np.float32(3)
    blob = ellipse(chest.grid, cx, cy, reach, reach * 0.84) + ragged
    slope = math.tan(rng.uniform(-0.5, 0.5))
    fissure = np.float32(cy - reach * 0.55) - chest.grid.y + (chest.grid.x - np.float32(cx)) * np.float32(slope)
    region = np.maximum(blob, fissure)
    own_side = chest.grid.x * np.float32(focus.side) > 0
    filled = cover(region, px, 9 / px) * chest.lungs * own_side
    halo = np.clip(np.float32(1) - region / np.float32(22), 0, 1) * chest.lungs * own_side
    lift = np.maximum(chest.hu, chest.hu + halo * np.float32(170))
    solid = np.float32(focus.density) + smooth_noise(rng, size, extent, 7) * np.float32(12)
    target = np.maximum(lift, lift + filled * (solid - lift))
    bronchi = np.zeros_like(chest.hu)
    root = (cx - focus.side * reach * 0.7, cy - reach * 0.15 * math.sin(focus.angle))
    tubes = branches(rng, root, 0.0 if focus.side > 0 else math.pi, 0.9, 3, reach * 1.5)
    tubes[:, 2] *= 0.55
    stamp(bronchi, chest.grid, tubes, 840)
    chest.hu[:] = target - bronchi * np.clip(filled * 1.4 - 0.4, 0, 1)


def _ground_glass(chest: Chest, found: tuple[Focus, ...], rng: np.random.Generator) -> None:
    """Draw hazy patches under the pleura on both sides: vessels stay visible in them, and fine septa thicken."""
    size, px = chest.hu.shape[0], chest.grid.spacing
    extent = size * px
    haze = np.zeros_like(chest.hu)
    for focus in found:
        cx, cy = _centre(chest, focus, 0.08)
        reach = focus.size * rng.uniform(0.7, 1.25)
        tangent = abs(math.cos(focus.angle))
        a, b = reach * (1.25 - 0.5 * tangent), reach * (0.75 + 0.5 * tangent)
        margin = 30.0
        window, part = chest.grid.window(cx, cy, a + margin, b + margin)
        outline = ellipse(part, cx, cy, a, b) + smooth_noise(rng, size, extent, 18)[window] * np.float32(5)
        patch = cover(outline, px, 8 / px) * np.float32(focus.density)
        haze[window] = np.maximum(haze[window], patch)
    peripheral = np.exp(-np.square(np.minimum(chest.pleura, 0) / np.float32(34)))
    septa = (np.abs(smooth_noise(rng, size, extent, 5)) < np.float32(0.28)).astype(np.float32)
    grain = np.float32(1) + smooth_noise(rng, size, extent, 12) * np.float32(0.16) + septa * np.float32(0.28)
    added: Plane = haze * peripheral * chest.lungs * grain
    chest.hu[:] = np.maximum(chest.hu, np.minimum(chest.hu + added, np.maximum(chest.hu, -130)))
