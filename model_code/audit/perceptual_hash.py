"""Two hashes of a slice's pixels: a digest of the exact pixels, and a perceptual hash (pHash) of the picture.

The perceptual hash holds the signs of the lowest spatial frequencies, so the distance of two slices is the number of
frequencies whose phase differs. It is computed within a box around the soft tissue, so that another field of view or
position on the table gives the same hash. Noise, another matrix or another pixel format change few bits. Another
patient changes about half of the bits that differ between people at all.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from model_code.reading.hounsfield import HounsfieldArray

# Frequencies per axis whose signs are kept, of a box sampled with SAMPLES per axis.
FREQUENCIES, SAMPLES = 32, 96
BITS = FREQUENCIES * FREQUENCIES
# Air to dense bone, in HU. Values beyond it show no patient.
WINDOW = (-1000.0, 400.0)
SOFT_TISSUE_HU = -300.0
# The box reaches this many standard deviations from the tissue's centre; for a filled ellipse 2 is its edge.
BOX_HALF_WIDTH = 2.0
# A slice with less tissue than this, or with tissue as flat as a table top, shows no body; one with less contrast (in
# fractions of the window) shows nothing. The hash of such a slice would describe its noise.
SMALLEST_TISSUE, FLATTEST, SMALLEST_CONTRAST = 0.02, 1 / 4, 0.05
# Frequencies weaker than this are rounding errors.
WEAKEST = 1e-6

Fingerprint = npt.NDArray[np.uint64]
"""BITS bits in words of 64."""

_Box = tuple[tuple[float, float], tuple[float, float]]


def pixel_digest(hounsfield: HounsfieldArray) -> str:
    """Return the hex SHA-256 of rows, columns and Hounsfield units, independent of how the units were stored."""
    shape = np.asarray(hounsfield.shape, np.uint32).tobytes()
    # Adding zero turns -0.0 into 0.0, which is equal but has other bytes.
    return hashlib.sha256(shape + (hounsfield + np.float32(0)).tobytes()).hexdigest()


def fingerprint(hounsfield: HounsfieldArray) -> Fingerprint | None:
    """Return the perceptual hash of a slice, None if it shows no body."""
    low, high = WINDOW
    windowed = np.clip((hounsfield.astype(np.float64) - low) / (high - low), 0, 1)
    box = _body(hounsfield)
    if box is None or windowed.std() < SMALLEST_CONTRAST:
        return None
    rows, columns = (_waves(*edges, size) for edges, size in zip(box, hounsfield.shape, strict=True))
    spectrum = rows @ windowed @ columns.T
    return np.packbits(spectrum.ravel() > WEAKEST).view(np.uint64)


def distance(one: Fingerprint, other: Fingerprint) -> int:
    """Return the number of bits that differ."""
    return int(np.bitwise_count(one ^ other).sum())


def _body(hounsfield: HounsfieldArray) -> _Box | None:
    """Return the edges of the box around the soft tissue, in pixels (rows, columns); it may exceed the picture."""
    tissue = hounsfield > SOFT_TISSUE_HU
    total = int(tissue.sum())
    if total < SMALLEST_TISSUE * tissue.size:
        return None
    edges, spreads = [], []
    for axis, size in enumerate(tissue.shape):
        share = tissue.sum(axis=1 - axis) / total
        positions = np.arange(size) + 0.5
        centre = float(share @ positions)
        spread = float(share @ (positions - centre) ** 2) ** 0.5
        edges.append((centre - BOX_HALF_WIDTH * spread, centre + BOX_HALF_WIDTH * spread))
        spreads.append(spread)
    if min(spreads) < FLATTEST * max(spreads):
        return None
    return edges[0], edges[1]


def _waves(start: float, end: float, size: int) -> npt.NDArray[np.float64]:
    """Return FREQUENCIES x size weights: each pixel's part in each frequency of start..end; beyond it is air, 0."""
    bounds = np.linspace(start, end, SAMPLES + 1)
    pixel = np.arange(size)
    covered = np.minimum(bounds[1:, None], pixel + 1) - np.maximum(bounds[:-1, None], pixel)
    waves: npt.NDArray[np.float64] = _COSINES @ (np.clip(covered, 0, None) * (SAMPLES / (end - start)))
    return waves


def _cosines() -> npt.NDArray[np.float64]:
    """Return the first rows of the discrete cosine transform (DCT-II): FREQUENCIES x SAMPLES."""
    frequency, sample = np.arange(FREQUENCIES)[:, None], np.arange(SAMPLES)[None, :]
    cosines: npt.NDArray[np.float64] = np.cos(np.pi * (sample + 0.5) * frequency / SAMPLES) / SAMPLES
    return cosines


_COSINES = _cosines()
