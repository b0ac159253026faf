"""`python -m assurance.fuzz.damage`: how much damage inside a codestream the container finds, by transfer syntax.

Each syntax's slice is damaged at random places behind its first third, in four ways, and decoded as the container does:
it is refused, or read with changed pixels, which would go unnoticed.
"""

from __future__ import annotations

import io
import random
import sys
from collections import Counter
from collections.abc import Callable

import numpy as np
import pydicom
from pydicom import uid
from pydicom.encaps import encapsulate, get_frame

from model_code.errors import InstanceError
from model_code.reading.dicom import decode, read_instance
from tests.model_code.conftest import make_slice

SYNTAXES = (uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.RLELossless)
TRIES = 100
SIDE = 64
END_MARKER = b"\xff\xd9"

Damage = Callable[[bytearray, int, random.Random], bytes | bytearray]


def cut(whole: bytearray, at: int, _rng: random.Random) -> bytes | bytearray:
    """Cut the rest, except for the end marker."""
    return whole[:at] + END_MARKER


def add(whole: bytearray, at: int, rng: random.Random) -> bytes | bytearray:
    """Insert four bytes."""
    return whole[:at] + rng.randbytes(4) + whole[at:]


def lose(whole: bytearray, at: int, _rng: random.Random) -> bytes | bytearray:
    """Set eight bytes to zero."""
    return whole[:at] + bytes(8) + whole[at + 8 :]


def flip(whole: bytearray, at: int, rng: random.Random) -> bytes | bytearray:
    """Flip one bit."""
    return whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :]


DAMAGES: dict[str, Damage] = {"cut": cut, "4 bytes added": add, "8 bytes zero": lose, "1 bit flipped": flip}


def main() -> int:
    """Print the table; return the exit status."""
    rng = random.Random(1)
    noise = np.random.default_rng(1).integers(0, 50, (SIDE, SIDE))
    stored = (np.add.outer(np.arange(SIDE), np.arange(SIDE)) * 20 + noise).astype(np.uint16)
    print(f"refused of {TRIES}; in brackets: read, with other pixels\n")
    print(f"{'':<44}" + "".join(f"{name:>18}" for name in DAMAGES))
    for syntax in SYNTAXES:
        body = make_slice(stored, syntax=syntax, BitsStored=12, HighBit=11)
        whole = decode(read_instance(body))
        frame = bytearray(get_frame(pydicom.dcmread(io.BytesIO(body)).PixelData, 0, number_of_frames=1).rstrip(b"\0"))
        cells = []
        for damage in DAMAGES.values():
            seen = Counter(_outcome(stored, syntax, damage, frame, whole, rng) for _ in range(TRIES))
            cells.append(f"{seen['refused']} ({seen['other']})")
        print(f"{syntax.name.partition(', First')[0]:<44}" + "".join(f"{cell:>18}" for cell in cells), flush=True)
    return 0


def _outcome(
    stored: np.ndarray, syntax: uid.UID, damage: Damage, frame: bytearray, whole: np.ndarray, rng: random.Random
) -> str:
    at = rng.randrange(len(frame) // 3, len(frame) - 10)
    pixels = encapsulate([bytes(damage(frame, at, rng))])
    try:
        read = decode(read_instance(make_slice(stored, syntax=syntax, BitsStored=12, HighBit=11, PixelData=pixels)))
    except InstanceError:
        return "refused"
    return "same" if np.array_equal(read, whole) else "other"


if __name__ == "__main__":
    sys.exit(main())
