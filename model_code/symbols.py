"""Cuts from shared libraries what only debuggers read: `python model_code/symbols.py FILE...`, for the Dockerfile.

It does what `strip` would, which the base image does not have. A loader maps the segments that a library's program
headers name. The table of all symbols and the table of sections come after them, 89 MB in libtorch_cpu.so. What is
mapped stays the same, byte for byte, and with it the symbols by which libraries find one another.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

ELF_64_LITTLE_ENDIAN = b"\x7fELF\x02\x01"
HEADER = 64  # bytes
# Where the header says where the program headers are, and where the sections' table is.
PROGRAM_TABLE, PROGRAM_ENTRY = 32, 54
SECTION_TABLE, SECTION_COUNT = 40, 60


def cut(library: Path) -> int:
    """Cut a library after its last segment; return by how many bytes. Raises ValueError for what is no such library."""
    with library.open("r+b") as file:
        header = bytearray(file.read(HEADER))
        if header[:6] != ELF_64_LITTLE_ENDIAN or len(header) < HEADER:
            raise ValueError(f"{library.name} is no shared library of 64 bits for Linux.")
        (table,) = struct.unpack_from("<Q", header, PROGRAM_TABLE)
        size, count = struct.unpack_from("<HH", header, PROGRAM_ENTRY)
        file.seek(table)
        end: int = max(table + size * count, *_ends(file.read(size * count), size))
        struct.pack_into("<Q", header, SECTION_TABLE, 0)
        struct.pack_into("<HH", header, SECTION_COUNT, 0, 0)
        file.seek(0)
        file.write(header)
        shorter = library.stat().st_size - end
        file.truncate(end)
    return shorter


def _ends(programs: bytes, size: int) -> Iterator[int]:
    """Return where each segment ends in the file, by the program headers."""
    for at in range(0, len(programs), size):
        offset, _, _, length = struct.unpack_from("<4Q", programs, at + 8)
        yield offset + length


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        sys.stdout.write(f"{path.name} is shorter by {cut(path)} bytes\n")
