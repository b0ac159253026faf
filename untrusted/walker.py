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
# The VRs with a length of four bytes in Explicit VR, after two reserved ones, and those with one of two bytes
# (PS3.5 section 7.1.2).
LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
SHORT_VRS = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"}
    | {b"ST", b"TM", b"UI", b"UL", b"US"}
)
PIXEL_DATA = 0x7FE00010
KNOWN_VRS = SHORT_VRS | LONG_VRS
NO_VR = b""  # of every element in Implicit VR, and of delimiters
# Of one header, with all that its sequences hold: elements, items and delimiters. Scanners write a few hundred.
MOST_ELEMENTS = 100_000
UNKNOWN_VR_STEPS = 4  # for the time that it takes to find such an element's length
# Of one value that a reader keeps. The longest useful one is a LO of several values.
MOST_VALUE_BYTES = 1024
# A value before the pixels that is longer has a damaged length; ingest reads no longer header.
LONGEST_PLAUSIBLE = 8 * 1024 * 1024


class Element(NamedTuple):
    """One data element at ``at``: its value is the ``length`` bytes from ``start``, or ends at a delimiter."""

    at: int
    tag: int
    vr: bytes
    length: int
    start: int

    @property
    def name(self) -> str:
        """The tag as DICOM writes it: (0028,0010)."""
        return name_of(self.tag)


class TooManyElements(ValueError):
    """A header has more than MOST_ELEMENTS elements."""

    def __init__(self) -> None:
        super().__init__(f"more than {MOST_ELEMENTS} elements")


class EndsInside(EOFError):
    """The bytes end within ``element``; None: within the few bytes before its value."""

    def __init__(self, element: Element | None = None) -> None:
        super().__init__()
        self.element = element


class _Order(NamedTuple):
    """Unpackers: an element's first eight bytes, a length of four bytes and one of two."""

    head: struct.Struct
    long: struct.Struct
    short: struct.Struct


_LITTLE_ENDIAN, _BIG_ENDIAN = (
    _Order(struct.Struct(f"{one}HH2sH"), struct.Struct(f"{one}L"), struct.Struct(f"{one}H")) for one in "<>"
)


def name_of(tag: int) -> str:
    """Return a tag as DICOM writes it: (0028,0010)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def allowance() -> Iterator[int]:
    """Yield the steps that the walks over one header may take together; each step takes one."""
    return iter(range(MOST_ELEMENTS))


def elements(
    data: bytes | memoryview,
    at: int,
    *,
    implicit: bool,
    little_endian: bool,
    steps: Iterator[int] | None = None,
    group: int | None = None,
) -> Iterator[Element]:
    """Yield the elements of the data set at ``at``, without what their sequences hold.

    With ``group`` only its elements are read; then the place of the first other one is yielded as an empty element.

    Raises EndsInside where the bytes end within an element, ValueError where they are no elements, and TooManyElements
    where ``steps`` (an allowance; absent, one for this walk alone) is used up: each only once the elements before have
    been given.
    """
    order = _LITTLE_ENDIAN if little_endian else _BIG_ENDIAN
    steps = allowance() if steps is None else steps
    implicit = _is_implicit(data, at, implicit, order)
    while at < len(data):
        if group is not None and at + 8 <= len(data) and _tag_at(data, at, order) >> 16 != group:
            yield Element(at, _tag_at(data, at, order), NO_VR, 0, at)
            return
        element = _element(data, at, implicit, order, steps)
        yield element
        if element.tag in {ITEM, ITEM_END}:
            raise ValueError("an item outside of a sequence")
        if element.length == UNDEFINED_LENGTH:
            try:
                at = _after_sequence(data, element.start, implicit, order, steps)
            except EndsInside:
                raise EndsInside(element) from None
        else:
            at = _after(data, element)


def _element(data: bytes | memoryview, at: int, implicit: bool, order: _Order, steps: Iterator[int]) -> Element:
    if next(steps, None) is None:
        raise TooManyElements
    start = at + 8
    if start > len(data):
        raise EndsInside
    group, number, vr, length = order.head.unpack_from(data, at)
    tag = group << 16 | number
    if implicit or group == DELIMITERS:
        return Element(at, tag, NO_VR, order.long.unpack_from(data, at + 4)[0], start)
    if vr not in KNOWN_VRS:
        vr = vr.upper()
    if vr in SHORT_VRS:
        return Element(at, tag, vr, length, start)
    if vr in LONG_VRS:
        if start + 4 > len(data):
            raise EndsInside
        return Element(at, tag, vr, order.long.unpack_from(data, start)[0], start + 4)
    if any(next(steps, None) is None for _ in range(UNKNOWN_VR_STEPS - 1)):
        raise TooManyElements
    return _element_of_unknown_vr(data, at, order)


def _element_of_unknown_vr(data: bytes | memoryview, at: int, order: _Order) -> Element:
    """Return an element whose VR DICOM does not define, by the one way to read its length that leads to an element.

    Writers disagree on such elements: some switch to Implicit VR for one or two, some have a length of two bytes, and
    some one of four bytes. Raises EndsInside if that element may lie beyond the bytes, ValueError if nothing fits.
    """
    group, number, vr, short = order.head.unpack_from(data, at)
    tag = group << 16 | number
    implicit = Element(at, tag, NO_VR, order.long.unpack_from(data, at + 4)[0], at + 8)
    readings = [implicit, Element(at, tag, vr, short, at + 8)]
    if vr.isalpha():  # more likely a VR than the first bytes of a length
        readings.reverse()
    if at + 12 <= len(data):
        readings.append(Element(at, tag, vr, order.long.unpack_from(data, at + 8)[0], at + 12))
    if tag == PIXEL_DATA:  # nothing need follow it; of the two reserved bytes both are zero
        return implicit if short else readings[-1]
    fitting = next((one for one in readings if _leads_on(data, one, order)), None)
    if fitting:
        return fitting
    beyond = [one for one in readings if len(data) - 8 < one.start + one.length <= at + LONGEST_PLAUSIBLE]
    if beyond:
        raise EndsInside(beyond[0])
    raise ValueError(f"an element {name_of(tag)} with a VR that DICOM does not define, and no length that fits")


def _leads_on(data: bytes | memoryview, element: Element, order: _Order, depth: int = 2) -> bool:
    """Return whether the bytes end with the element, or the end of an item or an element with a greater tag follows.

    That element must have a VR, the same unknown VR, or lead on itself in Implicit VR (``depth`` of them).
    """
    if element.length == UNDEFINED_LENGTH:
        return _tag_at(data, element.start, order) in {ITEM, SEQUENCE_END}
    at = element.start + element.length
    following = _tag_at(data, at, order)
    if following >> 16 == DELIMITERS or at == len(data):
        return True
    if following <= element.tag or at + 8 > len(data):
        return False
    vr = bytes(data[at + 4 : at + 6]).upper()
    if vr in KNOWN_VRS or vr == element.vr:
        return True
    implicit = Element(at, following, NO_VR, order.long.unpack_from(data, at + 4)[0], at + 8)
    return depth > 0 and _leads_on(data, implicit, order, depth - 1)


def _tag_at(data: bytes | memoryview, at: int, order: _Order) -> int:
    """Return the tag at ``at``; 0 where the bytes end."""
    if at + 4 > len(data):
        return 0
    (group,), (number,) = order.short.unpack_from(data, at), order.short.unpack_from(data, at + 2)
    return int(group << 16 | number)


def _after(data: bytes | memoryview, element: Element) -> int:
    end = element.start + element.length
    if end > len(data):
        raise EndsInside(element)
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
        elif element.tag not in {ITEM, ITEM_END}:  # some writers also end items by a delimiter that have a length
            raise ValueError(f"{element.name}, something other than an item, in a sequence")
        elif element.length == UNDEFINED_LENGTH:
            around.append(implicit)
            # A sequence of VR UN is in Implicit VR inside a data set in Explicit VR (PS3.5 section 6.2.2).
            implicit, among_items = implicit or _is_implicit(data, at, implicit, order), False
        else:
            at = _after(data, element)


def _is_implicit(data: bytes | memoryview, at: int, declared: bool, order: _Order) -> bool:
    """Return whether the data set at ``at`` has no VRs: some writers declare one encoding and write the other."""
    if at + 8 > len(data) or _tag_at(data, at, order) >> 16 == DELIMITERS:
        return declared
    vr = bytes(data[at + 4 : at + 6])
    if all(b"A"[0] <= letter <= b"Z"[0] for letter in vr):
        return False
    # A first element of unknown VR is no sign of Implicit VR if an element with a VR follows, by any of its lengths.
    return declared or (vr.upper() not in KNOWN_VRS and not _has_vr_next(data, at, order))


def _has_vr_next(data: bytes | memoryview, at: int, order: _Order) -> bool:
    """Return whether the first element has a VR, or the next: by where its value ends, read in each of the ways."""
    tag, vr = _tag_at(data, at, order), bytes(data[at + 4 : at + 6])
    (short,), (implicit,) = order.short.unpack_from(data, at + 6), order.long.unpack_from(data, at + 4)
    ends = [at + 8 + short]
    if at + 12 <= len(data):
        (long,) = order.long.unpack_from(data, at + 8)
        if long == UNDEFINED_LENGTH and _tag_at(data, at + 12, order) == ITEM:
            return True
        ends.append(at + 12 + long)
    if any(_tag_at(data, end, order) == ITEM_END for end in ends):
        return True
    following = [(_tag_at(data, end, order), bytes(data[end + 4 : end + 6])) for end in (*ends, at + 8 + implicit)]
    return any(number > tag and (one.upper() in KNOWN_VRS or one == vr) for number, one in following)
