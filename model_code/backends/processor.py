"""What this machine's processor has: cores, and instructions for 8-bit integers."""

from __future__ import annotations

import re
from pathlib import Path

import torch

# How many slices are computed at once. Read on the main thread, when this module is imported: torch's figure differs
# per thread, and the predicting threads are set to 1.
CORES = torch.get_num_threads()
# Instructions that add products of bytes directly to 32 bits: Intel's and AMD's by two names, Intel's tiles, Arm's.
EXACT_BYTE_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})
FLAGS = re.compile(r"^(?:flags|Features)\s*:(.*)$", re.MULTILINE)


def adds_bytes_exactly(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether sums of byte products cannot overflow here; False where the system does not list instructions.

    Without EXACT_BYTE_PRODUCTS, pairs of products are added in 16 bits, which full 8-bit weights exceed.
    """
    try:
        found = FLAGS.search(cpuinfo.read_text())
    except OSError:
        return False
    return found is not None and not EXACT_BYTE_PRODUCTS.isdisjoint(found[1].split())
