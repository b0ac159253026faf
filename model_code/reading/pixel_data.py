"""Says what the value of PixelData is by its bytes: native pixels, run lengths or a codestream.

The transfer syntax says it too, and is often left behind when an archive compresses or decompresses an object. So the
bytes are asked first. Where the two differ and the bytes leave no doubt, they are read and the difference is noted.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydicom import uid

from model_code.reading.codestream import TwoFrames, is_codestream
from model_code.reading.elements import Elements
from model_code.reading.frame_notes import FrameNote
from model_code.reading.undecodable import Undecodable
from untrusted.walker import UNDEFINED_LENGTH

ITEM, DELIMITER, ITEM_HEADER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0", 8
SWAPPED_ITEM, SWAPPED_DELIMITER = b"\xff\xfe\xe0\x00", b"\xff\xfe\xe0\xdd"  # in Explicit VR Big Endian
# Of one frame, with the offset table. Most encoders write one or two, some one for each 64 KB or less.
MOST_FRAGMENTS = 50_000
# A run-length encoded frame begins with the number of its segments and the offsets of up to fifteen (PS3.5 G.5).
RUN_LENGTH_FIELDS = 16
RUN_LENGTH_HEADER = struct.Struct(f"<{RUN_LENGTH_FIELDS}L")
CUT = "a fragment goes beyond the end of the file: it is truncated"


class Encoding(enum.Enum):
    """How a frame is encoded."""

    NATIVE = enum.auto()
    RUN_LENGTHS = enum.auto()
    CODESTREAM = enum.auto()


@dataclass(frozen=True)
class Encoded:
    """One frame's bytes and how they are encoded; ``notes`` say what of the object they contradict.

    ``rest`` is what a codestream without end marker may continue in, where the length of its one fragment is wrong.
    """

    encoding: Encoding
    data: bytes
    notes: tuple[FrameNote, ...] = ()
    rest: bytes = b""


@dataclass(frozen=True)
class _Items:
    """The values of a sequence of items. ``is_whole`` is False where a length leads to no item and no delimiter.

    ``is_cut`` says that the last goes beyond the end, and ``last_at`` where its value begins.
    """

    values: list[bytes]
    is_whole: bool
    is_cut: bool
    last_at: int

    @property
    def fragments(self) -> list[bytes]:
        """The values without the Basic Offset Table, which is the first item unless that is the frame itself."""
        is_table = not is_codestream(self.values[0]) and any(self.values[1:])
        return [one for one in (self.values[1:] if is_table else self.values) if one]


def encoded_frame(elements: Elements, attributes: Mapping[str, Any]) -> Encoded:
    """Return the one frame of PixelData; raises Undecodable without a frame, TwoFrames for more than one."""
    syntax, length = elements.transfer_syntax, elements.pixel_data_length
    value = elements.pixel_data or b""
    value = value if length == UNDEFINED_LENGTH else value[:length]
    needed = attributes["rows"] * attributes["columns"] * attributes["bits_allocated"] // 8
    is_native_size = length != UNDEFINED_LENGTH and length in {needed, needed + needed % 2}
    items = None if is_native_size and not syntax.is_encapsulated else _items(value, syntax)
    if items is not None and (syntax.is_encapsulated or length == UNDEFINED_LENGTH or items.is_whole):
        return _in_fragments(items, value, syntax, attributes, needed)
    if is_codestream(value) and (syntax.is_encapsulated or not needed <= length < UNDEFINED_LENGTH):
        return Encoded(Encoding.CODESTREAM, value, notes=(FrameNote.UNFRAGMENTED,))
    if length == UNDEFINED_LENGTH:
        raise Undecodable("its length is undefined, and it holds no fragment")
    if not syntax.is_encapsulated:
        return _native(value, needed, length)
    if not needed <= len(value) < 2 * needed:
        raise Undecodable("it holds no fragment")
    return replace(_native(value, needed, length), notes=(FrameNote.UNCOMPRESSED,))


def _native(value: bytes, needed: int, length: int) -> Encoded:
    """Return native pixels without padding; raises Undecodable unless they can be one frame of ``needed`` bytes."""
    if len(value) < needed:
        raise Undecodable(f"it holds {len(value)} of {needed} bytes: it is truncated")
    even = needed + needed % 2
    if length >= 2 * even and len(value) < length:
        raise Undecodable(f"it says that it has {length} bytes, and {len(value)} follow: the file is truncated")
    if length >= 2 * even:  # what would be read of it would look like a frame of this format
        raise Undecodable(f"it holds {length} bytes: more frames than one of {even} bytes, or larger pixels")
    # An odd frame of 8-bit pixels is padded by one byte, which Explicit VR Big Endian may have swapped before the last.
    return Encoded(Encoding.NATIVE, value[:even])


def _in_fragments(items: _Items, value: bytes, syntax: uid.UID, attributes: Mapping[str, Any], needed: int) -> Encoded:
    """Return the frame that is joined from fragments (PS3.5 A.4)."""
    fragments = items.fragments
    if not fragments:
        raise Undecodable("it holds no fragment")
    data = b"".join(fragments)
    is_native_size = len(data) in {needed, needed + needed % 2}
    if is_codestream(data):
        is_alone = len(fragments) == 1 and not items.is_whole
        notes = (FrameNote.WRONG_LENGTH,) if items.is_cut else ()
        rest = _to_delimiter(value, items.last_at) if is_alone else b""
        return Encoded(Encoding.CODESTREAM, data, notes, rest)
    if items.is_cut:
        raise Undecodable(CUT)
    segments = attributes["bits_allocated"] // 8
    is_run_lengths = _is_run_lengths(data, segments)
    if is_run_lengths and (syntax == uid.RLELossless or not is_native_size):
        # A frame of run lengths is one fragment (PS3.5 A.4.2).
        if any(_is_run_lengths(one, segments) for one in fragments[1:]):
            raise TwoFrames
        return Encoded(Encoding.RUN_LENGTHS, data)
    if is_native_size or not syntax.is_encapsulated:
        native = _native(data, needed, len(data))
        return replace(native, notes=(FrameNote.UNCOMPRESSED if syntax.is_encapsulated else FrameNote.FRAGMENTED,))
    if syntax == uid.RLELossless:
        (found,) = struct.unpack_from("<L", data.ljust(4, b"\0"))
        if 0 < found < RUN_LENGTH_FIELDS and _is_run_lengths(data, found):
            raise Undecodable(f"its frame has {found} segments, pixels of {8 * segments} bits have {segments}")
        return Encoded(Encoding.RUN_LENGTHS, data)
    return Encoded(Encoding.CODESTREAM, data)


def _to_delimiter(value: bytes, at: int) -> bytes:
    """Return ``value`` from ``at`` up to the sequence delimiter, nothing if an item is in it."""
    end = value.find(DELIMITER, at)
    rest = value[at : len(value) if end < 0 else end]
    return b"" if ITEM in rest else rest


def _items(value: bytes, syntax: uid.UID) -> _Items | None:
    """Return the items at the start of ``value``, None if it begins with none; Undecodable for too many."""
    item, delimiter, order = ITEM, DELIMITER, "little"
    if not syntax.is_little_endian and value.startswith(SWAPPED_ITEM):
        item, delimiter, order = SWAPPED_ITEM, SWAPPED_DELIMITER, "big"
    if not value.startswith(item):
        return None
    values: list[bytes] = []
    at = start = 0
    length = 0
    while True:
        if length % 2 and not value.startswith(item, at) and value.startswith((item, delimiter), at + 1):
            at += 1  # a byte of padding, which the length does not count
        if not value.startswith(item, at):
            break
        start = at + ITEM_HEADER
        length = int.from_bytes(value[at + len(item) : start], order)  # type: ignore[arg-type]
        values.append(value[start : start + length])
        if len(values) > MOST_FRAGMENTS:
            raise Undecodable(f"it has more than {MOST_FRAGMENTS} fragments")
        at = start + length
    is_cut = at > len(value)
    is_end = len(value) - at in {0, at % 2}  # an odd value is padded by a byte
    return _Items(values, is_end or value.startswith(delimiter, at), is_cut, start)


def _is_run_lengths(data: bytes, segments: int) -> bool:
    """Return whether ``data`` begins as a frame of ``segments`` run-length encoded segments does."""
    if len(data) < RUN_LENGTH_HEADER.size:
        return False
    count, first, *others = RUN_LENGTH_HEADER.unpack_from(data)
    used, unused = [first, *others[: segments - 1]], others[segments - 1 :]
    return count == segments and first == RUN_LENGTH_HEADER.size and used == sorted(used) and not any(unused)
