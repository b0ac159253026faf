"""Two hashes of a slice's pixels: one that only the same pixels share, and one that similar pictures nearly share.

The perceptual hash (pHash) holds the signs of the lowest spatial frequencies, so its distance between two slices is the
number of frequencies whose phase differs. It is taken within a box that the soft tissue sets, so that another field of
view or another position on the table gives the same hash. Neither noise, nor another matrix, nor another way to store
the pixels changes many bits; another patient changes about half of those that differ between people at all.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from model_code.reading.dicom import HounsfieldArray

# Frequencies per axis whose signs are kept, of a box sampled with SAMPLES per axis.
FREQUENCIES, SAMPLES = 32, 96
BITS = FREQUENCIES * FREQUENCIES
# Air to dense bone, in HU. What the table or the air hold beyond it is no picture of anybody.
WINDOW = (-1000.0, 400.0)
SOFT_TISSUE_HU = -300.0
# The box reaches this many standard deviations from the tissue's centre; for a filled ellipse 2 is its edge.
BOX_HALF_WIDTH = 2.0
# A slice with less tissue than this, or tissue as flat as a table top, shows no body; one with less contrast (in
# fractions of the window) shows nothing. The hash of such a slice would be that of its noise.
SMALLEST_TISSUE, FLATTEST, SMALLEST_CONTRAST = 0.02, 1 / 4, 0.05
# Frequencies weaker than this are no sign but rounding.
WEAKEST = 1e-6

Fingerprint = npt.NDArray[np.uint64]
"""BITS bits in words of 64."""

_Box = tuple[tuple[float, float], tuple[float, float]]


def pixel_digest(hounsfield: HounsfieldArray) -> str:
    """The hex SHA-256 of rows, columns and Hounsfield units; however the same units were stored, it is the same."""
    shape = np.asarray(hounsfield.shape, np.uint32).tobytes()
    # Adding zero turns -0.0, which equals 0.0 but has other bytes, into it.
    return hashlib.sha256(shape + (hounsfield + np.float32(0)).tobytes()).hexdigest()


def fingerprint(hounsfield: HounsfieldArray) -> Fingerprint | None:
    """The perceptual hash of a slice, None when it shows no body."""
    low, high = WINDOW
    windowed = np.clip((hounsfield.astype(np.float64) - low) / (high - low), 0, 1)
    box = _body(hounsfield)
    if box is None or windowed.std() < SMALLEST_CONTRAST:
        return None
    rows, columns = (_waves(*edges, size) for edges, size in zip(box, hounsfield.shape, strict=True))
    spectrum = rows @ windowed @ columns.T
    return np.packbits(spectrum.ravel() > WEAKEST).view(np.uint64)


def distance(one: Fingerprint, other: Fingerprint) -> int:
    """The number of bits that differ."""
    return int(np.bitwise_count(one ^ other).sum())


def _body(hounsfield: HounsfieldArray) -> _Box | None:
    """The edges of the box around the soft tissue, in pixels (rows, columns); it may reach beyond the picture."""
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
    """FREQUENCIES x size: how much of each frequency of start..end each pixel shows; beyond the pixels is air, 0."""
    bounds = np.linspace(start, end, SAMPLES + 1)
    pixel = np.arange(size)
    covered = np.minimum(bounds[1:, None], pixel + 1) - np.maximum(bounds[:-1, None], pixel)
    waves: npt.NDArray[np.float64] = _COSINES @ (np.clip(covered, 0, None) * (SAMPLES / (end - start)))
    return waves


def _cosines() -> npt.NDArray[np.float64]:
    """FREQUENCIES x SAMPLES: the first rows of the discrete cosine transform (DCT-II)."""
    frequency, sample = np.arange(FREQUENCIES)[:, None], np.arange(SAMPLES)[None, :]
    cosines: npt.NDArray[np.float64] = np.cos(np.pi * (sample + 0.5) * frequency / SAMPLES) / SAMPLES
    return cosines


_COSINES = _cosines()
