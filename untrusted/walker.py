"""Walk over the data elements of DICOM bytes in one pass, without keeping them (PS3.5 section 7).

A general reader builds every item of every sequence and, on damage, goes back to look for a delimiter: an object made
for it costs fifty times its size in memory, and time with the square of its length. Here a step is a few bytes read and
nothing kept, and a header may take MOST_ELEMENTS steps: a deflated one of 30 KB holds millions of elements. Ingest
and the container both read headers through it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

UNDEFINED_LENGTH = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
DELIMITERS = 0xFFFE  # the group of the three, which have no VR in any encoding
# The VRs with a length of four bytes in Explicit VR, after two reserved ones (PS3.5 section 7.1.2).
LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
# Of one header, with all that its sequences hold: elements, items and delimiters. Scanners write a few hundred.
MOST_ELEMENTS = 100_000
# Of one value that a reader keeps. The longest useful one is a LO of several values.
MOST_VALUE_BYTES = 1024


class Element(NamedTuple):
    """One data element at ``at``: its value is the ``length`` bytes from ``start``, or ends at a delimiter."""

    at: int
    tag: int
    length: int
    start: int


class TooManyElements(ValueError):
    """A header has more than MOST_ELEMENTS elements."""

    def __init__(self) -> None:
        super().__init__(f"more than {MOST_ELEMENTS} elements")


class _Order(NamedTuple):
    """Unpackers: an element's first eight bytes, and a length of four."""

    head: struct.Struct
    long: struct.Struct


_LITTLE_ENDIAN, _BIG_ENDIAN = (_Order(struct.Struct(f"{one}HH2sH"), struct.Struct(f"{one}L")) for one in "<>")


def allowance() -> Iterator[int]:
    """Yield the steps that the walks over one header may take together; each step takes one."""
    return iter(range(MOST_ELEMENTS + 1))  # two walks see the first element after the file meta information


def elements(
    data: bytes | memoryview, at: int, *, implicit: bool, little_endian: bool, steps: Iterator[int] | None = None
) -> Iterator[Element]:
    """Yield the elements of the data set at ``at``, without what their sequences hold.

    Raises EOFError where the bytes end within an element, ValueError where they are no elements, and TooManyElements
    where ``steps`` (an allowance; absent, one for this walk alone) is used up: each only once the elements before have
    been given.
    """
    order = _LITTLE_ENDIAN if little_endian else _BIG_ENDIAN
    steps = allowance() if steps is None else steps
    implicit = _is_implicit(data, at, implicit)
    while at < len(data):
        element = _element(data, at, implicit, order, steps)
        yield element
        if element.tag in {ITEM, ITEM_END}:
            raise ValueError("an item outside of a sequence")
        if element.length == UNDEFINED_LENGTH:
            at = _after_sequence(data, element.start, implicit, order, steps)
        else:
            at = _after(data, element)


def _element(data: bytes | memoryview, at: int, implicit: bool, order: _Order, steps: Iterator[int]) -> Element:
    if next(steps, None) is None:
        raise TooManyElements
    start = at + 8
    if start > len(data):
        raise EOFError
    group, number, vr, length = order.head.unpack_from(data, at)
    # Some writers switch to Implicit VR for an element or two: the VR's place holds a length.
    if implicit or group == DELIMITERS or not b"AA" <= vr <= b"ZZ":
        (length,) = order.long.unpack_from(data, at + 4)
    elif vr in LONG_VRS:
        if start + 4 > len(data):
            raise EOFError
        (length,) = order.long.unpack_from(data, start)
        start += 4
    return Element(at, group << 16 | number, length, start)


def _after(data: bytes | memoryview, element: Element) -> int:
    end = element.start + element.length
    if end > len(data):
        raise EOFError
    return end


def _after_sequence(data: bytes | memoryview, at: int, implicit: bool, order: _Order, steps: Iterator[int]) -> int:
    """Return the end of a value of undefined length. Nesting costs a flag an item, not a recursive call."""
    around: list[bool] = []  # for each open item: whether its parent is in Implicit VR
    among_items = True
    while True:
        element = _element(data, at, implicit, order, steps)
        at = element.start
        if not among_items:
            if element.tag == ITEM_END:
                if not around:
                    raise ValueError("an item ends that has not begun")
                implicit, among_items = around.pop(), True
            elif element.length == UNDEFINED_LENGTH:
                among_items = True
            else:
                at = _after(data, element)
        elif element.tag == SEQUENCE_END:
            if not around:
                return at
            among_items = False
        elif element.tag != ITEM:
            raise ValueError("something other than an item in a sequence")
        elif element.length == UNDEFINED_LENGTH:
            around.append(implicit)
            # A sequence of VR UN is in Implicit VR inside a data set in Explicit VR (PS3.5 section 6.2.2).
            implicit, among_items = implicit or _is_implicit(data, at, implicit), False
        else:
            at = _after(data, element)


def _is_implicit(data: bytes | memoryview, at: int, declared: bool) -> bool:
    """Return whether the data set at ``at`` has no VRs: some writers declare one encoding and write the other."""
    vr = bytes(data[at + 4 : at + 6])
    if len(vr) < 2 or int.from_bytes(data[at : at + 2], "little") == DELIMITERS:
        return declared
    return not all(b"A"[0] <= letter <= b"Z"[0] for letter in vr)
