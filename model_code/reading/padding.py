"""Finds the padding of a slice: pixels outside the reconstructed circle, which PixelPaddingValue names.

A value below all tissue and air can only be padding. Another one (such as the largest, or that of water) may also be
inside the body; of these pixels only those are padding that touch the edge of the picture or are joined to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_code.reading.elements import Elements
from model_code.reading.hounsfield import AIR, NOTHING, HounsfieldArray, rescale

# Padding with a value within so many HU of air is air already and stays as it is: a stored 0 of -1024 HU, say.
NEAR_AIR = 100.0
MOST_SWEEPS = 8  # over the rows; the outside of a circle takes two, a spiral would take many

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Padding:
    """The pixels of a slice that are ``padding``, None without any; ``kept``: others inside have its value, too."""

    pixels: Mask | None = None
    kept: bool = False


def find(elements: Elements, hounsfield: HounsfieldArray) -> Padding:
    """Return the padding of a slice that is not air already."""
    first = _stored_value(elements, "PixelPaddingValue")
    if first is None:
        return Padding()
    last = _stored_value(elements, "PixelPaddingRangeLimit")
    slope, intercept = rescale(elements)
    ends = [np.float32(value * slope + intercept) for value in (first, first if last is None else last)]
    low, high = min(ends), max(ends)
    is_mistaken = bool(low <= AIR + NEAR_AIR < high)  # a range with air and tissue in it: the value alone counts
    if is_mistaken:
        low = high = ends[0]
    if abs(low - AIR) <= NEAR_AIR and abs(high - AIR) <= NEAR_AIR:
        return Padding(kept=is_mistaken)
    # A lossy codestream blurs the value, and nothing else is as low.
    inside = hounsfield < NOTHING if high < NOTHING else (hounsfield >= low) & (hounsfield <= high)
    if not inside.any():
        return Padding(kept=is_mistaken)
    if high <= AIR + NEAR_AIR:
        return Padding(inside, kept=is_mistaken)
    joined = _joined_to_the_edge(inside)
    return Padding(joined if joined.any() else None, kept=is_mistaken or bool((inside & ~joined).any()))


def _stored_value(elements: Elements, keyword: str) -> int | None:
    """Return an attribute of two bytes as a stored value; headers write either sign's bytes under either VR."""
    value, bits = elements.number(keyword), elements.number("BitsStored") or 0
    if value is None:
        return None
    if elements.number("PixelRepresentation") != 1:
        # Pixels lose their bits above BitsStored, too.
        return value % (1 << (bits if 0 < bits < 16 else 16))
    if value >= 1 << 15:
        return value - (1 << 16)
    # The bits of a negative value of fewer than 16 bits, not extended.
    return value - (1 << bits) if 0 < bits < 16 and 1 << bits - 1 <= value < 1 << bits else value


def _joined_to_the_edge(inside: Mask) -> Mask:
    """Return the marked pixels that touch the edge of the picture, and those joined to them across or down."""
    joined = np.zeros_like(inside)
    joined[[0, -1]] = inside[[0, -1]]
    joined[:, [0, -1]] |= inside[:, [0, -1]]
    # The runs of marked pixels in a row are numbered; one joined pixel joins its run.
    begins = inside.copy()
    begins[:, 1:] &= ~inside[:, :-1]
    rows = range(len(inside))
    for _ in range(MOST_SWEEPS):
        before = np.count_nonzero(joined)
        for order, step in ((rows, -1), (reversed(rows), 1)):
            for row in order:
                if not inside[row].any():
                    continue
                reached = joined[row]
                if 0 <= row + step < len(inside):
                    reached = reached | (joined[row + step] & inside[row])
                if reached.any():
                    run = np.cumsum(begins[row])
                    joins = np.zeros(run[-1] + 1, np.bool_)
                    joins[run[reached]] = True
                    joined[row] = inside[row] & joins[run]
        if np.count_nonzero(joined) == before:
            break
    return joined
