"""Sets glibc's malloc to keep the memory that the network's layers free, instead of returning it to the system."""

from __future__ import annotations

import ctypes

# Parameter numbers of mallopt(3), from malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 1024**3
LARGEST_KEPT_BLOCK = 256 * 1024**2


def keep_freed_memory(largest_block: int = LARGEST_KEPT_BLOCK) -> bool:
    """Raise malloc's thresholds for this process; return whether this C library has them.

    By default every feature map beyond 128 KiB is a fresh mapping that the kernel zeroes page by page, again for each
    layer. Blocks beyond ``largest_block`` bytes are still returned, so that a large training batch does not keep its
    peak for good.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, largest_block)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
