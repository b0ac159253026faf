"""The sentences about a frame whose bytes contradict what the object says of them.

The set is closed: no text of an object can be in an answer.
"""

from __future__ import annotations

import enum


class FrameNote(enum.StrEnum):
    """What was assumed to read a frame."""

    UNCOMPRESSED = "The transfer syntax is a compressed one, the pixel data is not: read as it is."
    FRAGMENTED = "The pixel data is in fragments, though the transfer syntax has none: read from them."
    UNFRAGMENTED = "The pixel data is a codestream outside of fragments: read as it is."
    OTHER_COMPRESSION = "The transfer syntax names another compression than the pixel data has: read as its bytes are."
    WRONG_LENGTH = "The length of the pixel data's fragment is wrong: read up to the end marker."
    HIGH_BITS = "Pixels have bits above BitsStored, as overlays do: these bits were ignored."
    MORE_BITS = "Some values need more bits than BitsStored says: read with all bits, which their signs fill."
    SIGN_OF_FEWER_BITS = (
        "The codestream has fewer bits a pixel than BitsStored says: the highest of them was read as the sign."
    )
    NO_SIGN_OF_FEWER_BITS = (
        "The codestream has fewer bits a pixel than BitsStored says: its values were read as positive numbers."
    )
