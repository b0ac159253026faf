"""A slice being drawn: its millimetre grid, and the soft-edged brushes for anatomy and lesions.

Distances are signed, in millimetres, and negative inside; a coverage is the fraction of each pixel (0 to 1) that a
shape covers, so that edges show partial volume as a scanner's do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]

WARP = 8.0
"""No coordinate is ever displaced further than this (mm), so that a shape can be drawn within a window around it."""


@dataclass(frozen=True)
class Grid:
    """Millimetre coordinates of every pixel: ``x`` grows to the patient's left, ``y`` to the back."""

    x: Plane
    y: Plane
    spacing: float
    left: float
    top: float

    @classmethod
    def of(cls, size: int, spacing: float, centre: tuple[float, float]) -> Grid:
        """Return a ``size`` x ``size`` grid of ``spacing`` mm with its middle pixel at ``centre`` (x, y), in mm."""
        axis = (np.arange(size, dtype=np.float32) - (size - 1) / 2) * np.float32(spacing)
        x, y = (axis + np.float32(centre[0]))[None, :], (axis + np.float32(centre[1]))[:, None]
        return cls(x, y, spacing, float(x[0, 0]), float(y[0, 0]))

    def warped(self, rng: np.random.Generator, amplitude: float) -> Grid:
        """Return the same pixels with smoothly displaced coordinates, which makes every drawn ellipse organic."""
        size = self.x.shape[1]
        extent = size * self.spacing
        bend = [np.clip(smooth_noise(rng, size, extent, 70) * np.float32(amplitude), -WARP, WARP) for _ in range(2)]
        return Grid(self.x + bend[0], self.y + bend[1], self.spacing, self.left, self.top)

    def window(self, cx: float, cy: float, a: float, b: float) -> tuple[tuple[slice, slice], Grid]:
        """Return the pixels within ``a``, ``b`` mm of (``cx``, ``cy``), even if warped: their slices and their grid."""
        size = max(self.x.shape)

        def reach(middle: float, half: float, start: float) -> slice:
            bounds = ((middle + sign * (half + WARP) - start) / self.spacing for sign in (-1, 1))
            return slice(*(int(min(max(bound + one, 0), size)) for bound, one in zip(bounds, (0, 2), strict=True)))

        rows, columns = reach(cy, b, self.top), reach(cx, a, self.left)
        x = self.x[rows, columns] if self.x.shape[0] > 1 else self.x[:, columns]
        y = self.y[rows, columns] if self.y.shape[1] > 1 else self.y[rows]
        return (rows, columns), Grid(x, y, self.spacing, self.left, self.top)


def ellipse(grid: Grid, cx: float, cy: float, a: float, b: float) -> Plane:
    """Return the signed distance (mm, approximate) to an ellipse with half axes ``a``, ``b``."""
    u, v = (grid.x - np.float32(cx)) / np.float32(a), (grid.y - np.float32(cy)) / np.float32(b)
    distance: Plane = (np.sqrt(u * u + v * v) - np.float32(1)) * np.float32(min(a, b))
    return distance


def oval(grid: Grid, cx: float, cy: float, a: float, b: float) -> Plane:
    """Return the signed distance (mm, approximate) to an ellipse with fuller flanks, the cross-section of a trunk."""
    u, v = (grid.x - np.float32(cx)) / np.float32(a), (grid.y - np.float32(cy)) / np.float32(b)
    u, v = u * u, v * v
    fourth: Plane = u * u + v * v + np.float32(1.3) * u * v
    return (np.sqrt(np.sqrt(fourth)) - np.float32(1)) * np.float32(min(a, b))


def cover(distance: Plane, spacing: float, softness: float = 1.0) -> Plane:
    """Return the coverage of the shape with this signed ``distance``; the edge is ``softness`` pixels wide."""
    coverage: Plane = np.clip(np.float32(0.5) - distance / np.float32(spacing * softness), 0, 1)
    return coverage


def paint(canvas: Plane, coverage: Plane, value: float | Plane) -> None:
    """Lay ``value`` (HU) over ``canvas`` in place, weighted by ``coverage``."""
    canvas += coverage * (np.asarray(value, np.float32) - canvas)


def disc(canvas: Plane, grid: Grid, shape: tuple[float, float, float, float], value: float, soft: float = 1.5) -> None:
    """Paint the ellipse ``shape`` (centre x, y and half axes, mm) with ``value`` (HU), touching only its window."""
    cx, cy, a, b = shape
    margin = soft * grid.spacing
    window, part = grid.window(cx, cy, a + margin, b + margin)
    paint(canvas[window], cover(ellipse(part, cx, cy, a, b), grid.spacing, soft), value)


def smooth_noise(rng: np.random.Generator, size: int, extent: float, wavelength: float) -> Plane:
    """Return a ``size`` x ``size`` random field of unit variance that varies over ``wavelength`` of ``extent`` (mm).

    Cubic B-splines through white noise. Four taps an axis, not a matrix product: BLAS would start threads for it, and
    threads make many small products slow on a busy machine.
    """
    spans = max(1, math.ceil(extent / wavelength))
    position = np.linspace(0, spans, size, endpoint=False, dtype=np.float32)
    first = position.astype(np.intp)
    t = position - first
    taps = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3])
    taps /= np.sqrt((taps * taps).sum(axis=0))
    field: Plane = rng.standard_normal((spans + 3, spans + 3), dtype=np.float32)
    for _ in ("columns", "rows"):  # indexing whole rows is fast, so the other axis is turned to be rows too
        turned = np.ascontiguousarray(field.T)
        field = np.zeros((size, turned.shape[1]), np.float32)
        for tap in range(4):
            share = turned[first + tap]
            share *= taps[tap][:, None]
            field += share
    return field


def stamp(canvas: Plane, grid: Grid, points: npt.NDArray[np.float32], gain: float) -> None:
    """Lighten ``canvas`` in place to round dots: ``points`` holds rows of x, y, radius (mm), peak ``gain`` (HU)."""
    size = canvas.shape[0]
    reach = max(1, math.ceil(float(points[:, 2].max(initial=0)) / grid.spacing) + 1)
    offsets = np.arange(-reach, reach + 1)
    column = np.rint((points[:, 0] - grid.left) / grid.spacing).astype(np.intp)[:, None, None] + offsets[None, None, :]
    row = np.rint((points[:, 1] - grid.top) / grid.spacing).astype(np.intp)[:, None, None] + offsets[None, :, None]
    dx = column * np.float32(grid.spacing) + np.float32(grid.left) - points[:, 0, None, None]
    dy = row * np.float32(grid.spacing) + np.float32(grid.top) - points[:, 1, None, None]
    distance = np.sqrt(dx * dx + dy * dy) - points[:, 2, None, None]
    # A dot thinner than a pixel keeps its mass: it is drawn fainter, not wider.
    peak = np.float32(gain) * np.minimum(1, points[:, 2, None, None] * 2 / np.float32(grid.spacing))
    value = np.clip(np.float32(0.5) - distance / np.float32(grid.spacing), 0, 1) * peak
    inside = (value > 0) & (row >= 0) & (row < size) & (column >= 0) & (column < size)
    flat = (np.broadcast_to(row, inside.shape)[inside]) * size + np.broadcast_to(column, inside.shape)[inside]
    np.maximum.at(canvas.reshape(-1), flat, value[inside])


def branches(
    rng: np.random.Generator, root: tuple[float, float], heading: float, spread: float, count: int, scale: float
) -> Plane:
    """Return points (x, y, radius in mm) along ``count`` tapering, winding, once-forking tubes from ``root``.

    They fan out within ``spread`` radians either side of ``heading``, about ``scale`` mm long.
    """
    steps = 26
    course = heading + np.linspace(-spread, spread, count) + rng.normal(0, 0.22, count)
    course = np.repeat(course, 2)[:, None] + np.cumsum(rng.normal(0, 0.07, (2 * count, steps)), axis=1)
    course += np.tile([-1.0, 1.0], count)[:, None] * np.clip(np.arange(steps) - rng.integers(6, 14), 0, None) * 0.035
    stride = rng.uniform(0.5, 1.0, (2 * count, 1)) * scale * 0.036
    x = root[0] + np.cumsum(np.cos(course) * stride, axis=1)
    y = root[1] + np.cumsum(np.sin(course) * stride, axis=1)
    radius = rng.uniform(1.7, 3.2, (2 * count, 1)) * np.linspace(1, 0.2, steps)[None, :]
    # An oblique tube leaves the slice: each is seen along a stretch only.
    seen = np.arange(steps - 1)[None, :] < rng.integers(8, steps, (2 * count, 1))
    path = np.stack([x, y, radius], axis=-1)
    halfway = (path[:, 1:] + path[:, :-1]) / 2
    return np.concatenate([path[:, 1:][seen], halfway[seen]]).astype(np.float32)
