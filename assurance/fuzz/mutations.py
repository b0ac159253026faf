"""Mutations of an object's bytes; most of them start at a data element."""

from __future__ import annotations

import contextlib
import random
import zlib
from collections.abc import Callable

from untrusted.walker import Element, elements

PREFIX = 132
LONGEST = 256 * 1024  # longer inputs are cut: they find less in the same time
MAX_INFLATED = 1024 * 1024
INTERESTING = (
    *(b"\0\0", b"\x01\0", b"\x80\0", b"\xff\xff", b"\xff\xff\xff\xff"),
    *(b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\xe0\x7f\x10\x00"),
    *(b"SQ", b"OB", b"UN", b"US", b"\xff\xd8", b"\xff\xd9"),
)

Mutation = Callable[[random.Random, bytes, bytes], bytes]


def mutated(rng: random.Random, one: bytes, other: bytes) -> bytes:
    """Return ``one`` after one to four mutations, some with parts of ``other``; deflated data sets change inside."""
    meta, inflated = _deflated(one) if rng.random() < 0.8 else (b"", b"")
    body = inflated or one or b"\0"
    for _ in range(rng.choice((1, 1, 2, 4))):
        body = rng.choice(MUTATIONS)(rng, body, other)[:LONGEST] or b"\0"
    if not inflated:
        return body
    deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return meta + deflater.compress(body) + deflater.flush()


def _deflated(body: bytes) -> tuple[bytes, bytes]:
    """Return the file meta information and the inflated data set of a deflated object, else two empty values."""
    at = next((one.at for one in _boundaries(body) if one.tag >> 16 != 2), 0)
    if b"1.2.840.10008.1.2.1.99" not in body[:at]:
        return b"", b""
    try:
        return body[:at], zlib.decompressobj(-zlib.MAX_WBITS).decompress(body[at:], MAX_INFLATED)
    except zlib.error:
        return b"", b""


def _boundaries(body: bytes) -> list[Element]:
    """Return the elements as far as they can be read, with or without file meta information."""
    found: list[Element] = []
    start = PREFIX if body[128:PREFIX] == b"DICM" else 0
    with contextlib.suppress(EOFError, ValueError):
        found.extend(elements(body, start, implicit=False, little_endian=True))
    return found[:400]


def _flip(rng: random.Random, body: bytes, _: bytes) -> bytes:
    at = rng.randrange(len(body))
    return body[:at] + bytes([body[at] ^ 1 << rng.randrange(8)]) + body[at + 1 :]


def _overwrite(rng: random.Random, body: bytes, _: bytes) -> bytes:
    at, value = rng.randrange(len(body)), rng.choice(INTERESTING)
    return body[:at] + value + body[at + len(value) :]


def _random_bytes(rng: random.Random, body: bytes, _: bytes) -> bytes:
    at, count = rng.randrange(len(body)), rng.randint(1, 16)
    return body[:at] + rng.randbytes(count) + body[at + count :]


def _length(rng: random.Random, body: bytes, _: bytes) -> bytes:
    """Change a length at an element's boundary, in two bytes or four."""
    one = _one(rng, body)
    size = rng.choice((2, 4))
    value = rng.choice((0, 1, 2, one.length + 1, one.length * 2, len(body), 2**31, 2**32 - 2, 2**32 - 1))
    at = one.start - size
    return body[:at] + (value % 256**size).to_bytes(size, "little") + body[at + size :]


def _vr(rng: random.Random, body: bytes, _: bytes) -> bytes:
    at = _one(rng, body).at + 4
    return body[:at] + rng.choice((b"SQ", b"UN", b"OB", b"US", b"LO", b"ZZ", b"\0\0", b"A\xff")) + body[at + 2 :]


def _value(rng: random.Random, body: bytes, _: bytes) -> bytes:
    """Replace a value by one of the same length: digits, or noise."""
    one = _one(rng, body)
    length = min(one.length, 64)
    value = rng.choice((b"9" * length, b"-" * length, b"1e" * length, rng.randbytes(length), bytes(length)))[:length]
    return body[: one.start] + value + body[one.start + length :]


def _remove(rng: random.Random, body: bytes, _: bytes) -> bytes:
    one = _one(rng, body)
    return body[: one.at] + body[_end(one) :]


def _duplicate(rng: random.Random, body: bytes, _: bytes) -> bytes:
    one, before = _one(rng, body), _one(rng, body)
    return body[: before.at] + body[one.at : _end(one)][:4096] * rng.choice((1, 1, 2, 50)) + body[before.at :]


def _splice(rng: random.Random, body: bytes, other: bytes) -> bytes:
    return body[: _one(rng, body).at] + other[_one(rng, other).at :]


def _graft(rng: random.Random, body: bytes, other: bytes) -> bytes:
    """Insert an element of another object."""
    one, before = _one(rng, other), _one(rng, body)
    return body[: before.at] + other[one.at : _end(one)][:65536] + body[before.at :]


def _truncate(rng: random.Random, body: bytes, _: bytes) -> bytes:
    return body[: rng.choice((rng.randrange(len(body)), _one(rng, body).at, _one(rng, body).start))]


def _insert(rng: random.Random, body: bytes, _: bytes) -> bytes:
    at = rng.randrange(len(body))
    return body[:at] + rng.choice(INTERESTING) * rng.choice((1, 3, 200)) + body[at:]


MUTATIONS: tuple[Mutation, ...] = (
    _flip,
    _overwrite,
    _random_bytes,
    _length,
    _vr,
    _value,
    _remove,
    _duplicate,
    _splice,
    _graft,
    _truncate,
    _insert,
)


def _one(rng: random.Random, body: bytes) -> Element:
    """Return a random element, or a random position if there is none."""
    found = _boundaries(body)
    if found:
        return rng.choice(found)
    at = rng.randrange(max(1, len(body)))
    return Element(at, 0, b"", 0, min(at + 8, len(body)))


def _end(one: Element) -> int:
    return one.start + (one.length if one.length < 2**31 else 8)
