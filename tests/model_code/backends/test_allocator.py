"""The C library keeps what the network frees."""

from __future__ import annotations

import subprocess
import sys

import pytest

# In a separate process, because the setting cannot be undone. A block beyond malloc's default limit is freed and
# asked for again: kept, its pages are there; returned, each must be faulted in anew.
PROGRAM = """
import ctypes, resource, sys
from model_code.backends import allocator
if sys.argv[1] == "keep" and not allocator.keep_freed_memory():
    sys.exit("no mallopt")
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
size = 40 * 1024 * 1024
def use():
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int:
    result = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=False)
    if result.stderr.strip() == "no mallopt":
        pytest.skip("this C library has no mallopt")
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


def test_a_freed_feature_map_is_used_again_without_page_faults() -> None:
    assert faults("keep") < 1000 < faults("leave")
