"""What is cut from a shared library is never loaded: what a loader maps stays, and the library works."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from model_code import symbols

LIBRARY = Path(torch.__file__).parent / "lib/libc10.so"
LOADED = 1  # PT_LOAD


def segments(body: bytes) -> list[bytes]:
    """Return what a loader maps."""
    (table,) = struct.unpack_from("<Q", body, 32)
    size, count = struct.unpack_from("<HH", body, 54)
    found = []
    for at in range(table, table + size * count, size):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", body, at)
        if kind == LOADED:
            found.append(body[offset : offset + length])
    return found


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return Path(shutil.copy(LIBRARY, tmp_path))


def test_what_is_loaded_stays_byte_for_byte_but_for_where_the_sections_are(library: Path) -> None:
    before = library.read_bytes()
    assert symbols.cut(library) == len(before) - library.stat().st_size > 0
    (first, *rest), (cut_first, *cut_rest) = segments(before), segments(library.read_bytes())
    assert rest
    assert rest == cut_rest
    assert [at for at, pair in enumerate(zip(first, cut_first, strict=True)) if pair[0] != pair[1]], "the header"
    assert first[64:] == cut_first[64:]


def test_a_cut_library_is_loaded_and_its_functions_are_found(library: Path) -> None:
    symbols.cut(library)
    look = f"import ctypes; ctypes.CDLL({str(library)!r})._ZN3c1010TensorImpl12HandleResizeEv"
    subprocess.run([sys.executable, "-c", look], check=True)


def test_a_second_cut_changes_nothing(library: Path) -> None:
    symbols.cut(library)
    once = library.read_bytes()
    assert symbols.cut(library) == 0
    assert library.read_bytes() == once


@pytest.mark.parametrize(
    "body", [b"", b"\x7fELF\x02\x01", b"\x7fELF\x01\x01" + bytes(100), b"#!/bin/sh\n" + bytes(100)]
)
def test_another_file_is_refused_and_left_alone(body: bytes, tmp_path: Path) -> None:
    file = tmp_path / "other"
    file.write_bytes(body)
    with pytest.raises(ValueError, match="other is no shared library"):
        symbols.cut(file)
    assert file.read_bytes() == body
