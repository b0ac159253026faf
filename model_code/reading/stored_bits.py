"""Turns decoded pixels into stored values: BitsStored bits, signed as PixelRepresentation says (PS3.5 section 8.1).

The bits above BitsStored may hold overlays, the sign, or nothing; a codestream carries them along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model_code.reading.frame_notes import FrameNote
from model_code.reading.undecodable import Undecodable

Values = npt.NDArray[np.integer[Any]]
# Bits above the stored ones are data, not overlays, in a codestream that has more of their patterns, in more pixels.
OVERLAY_PATTERNS, OVERLAY_PART = 4, 0.1


@dataclass(frozen=True)
class Precision:
    """The bits of a decoded pixel, and whether they are signed.

    ``is_declared``: a codestream declares them; else they are BitsAllocated, and those above BitsStored may hold
    anything. ``is_exact``: each bit is as it was stored, so that some of them can be taken. ``has_sign_bit``: where
    the bits are fewer than BitsStored, the highest of them is the sign of signed values.
    """

    bits: int
    is_declared: bool = False
    is_signed: bool = False
    is_exact: bool = True
    has_sign_bit: bool = False

    @property
    def bytes(self) -> int:
        """The bytes of a decoded pixel."""
        return 1 if self.bits <= 8 else 2


def as_stored(raw: Values, precision: Precision, attributes: Mapping[str, Any]) -> tuple[Values, tuple[FrameNote, ...]]:
    """Return the stored values of ``raw``, decoded pixels of one or two bytes, and what had to be assumed.

    Raises Undecodable for a codestream whose pixels need more bits than BitsStored, where they cannot be overlays.
    """
    stored, is_signed = attributes["bits_stored"], bool(attributes["pixel_representation"])
    bits = precision.bits
    if bits <= stored or not precision.is_exact:  # a lossy codec rounds across the bits, so none can be cut off
        if precision.is_signed or not is_signed:
            return raw, ()
        has_sign = bits >= stored or precision.has_sign_bit
        return (_signed(raw, bits) if has_sign else raw), _of_fewer_bits(raw, bits, stored, has_sign)
    all_bits = _signed(raw, bits) if is_signed else _unsigned(raw)
    highest = _mask(stored - is_signed)
    if all_bits.max() <= highest and (not is_signed or all_bits.min() >= -highest - 1):
        return all_bits, ()
    values = _signed(raw, stored) if is_signed else all_bits & _mask(stored)
    differing = values != all_bits
    others = min(np.count_nonzero(differing), np.count_nonzero((_unsigned(raw) & _mask(bits)) >> stored))
    if not others:
        return values, ()
    if np.count_nonzero((values < 0) & ~differing) > others:  # signs fill all bits, so there is no room for overlays
        return all_bits, (FrameNote.MORE_BITS,)
    if precision.is_declared and _is_data((_unsigned(raw) & _mask(bits)) >> stored):
        raise Undecodable(
            f"its codestream has pixels of {bits} bits, the header says that {stored} are stored, and {others} pixels "
            "need more"
        )
    return values, (FrameNote.HIGH_BITS,)


def _of_fewer_bits(raw: Values, bits: int, stored: int, has_sign: bool) -> tuple[FrameNote, ...]:
    """Return the note that the sign of pixels of fewer ``bits`` than are ``stored`` had to be assumed, if it had."""
    if bits >= stored or not np.any(_unsigned(raw) >> (bits - 1)):
        return ()
    return (FrameNote.SIGN_OF_FEWER_BITS if has_sign else FrameNote.NO_SIGN_OF_FEWER_BITS,)


def _is_data(above: Values) -> bool:
    """Return whether the bits ``above`` the stored ones are too many for overlays, whose planes are few and sparse."""
    found = np.bincount(above.ravel())
    others = above.size - int(found[0])
    return int(np.count_nonzero(found)) > OVERLAY_PATTERNS and others > OVERLAY_PART * above.size


def _signed(values: Values, bits: int) -> Values:
    """Return the lowest ``bits`` of each value as a two's complement number."""
    found = values.view(f"i{values.dtype.itemsize}")
    shift = 8 * values.dtype.itemsize - bits
    if shift:
        found = found << shift
        found >>= shift
    return found


def _unsigned(values: Values) -> Values:
    return values.view(f"u{values.dtype.itemsize}")


def _mask(bits: int) -> int:
    return (1 << bits) - 1
