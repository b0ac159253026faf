"""What this machine's processor has: cores, and instructions for 8-bit integers and bfloat16."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import torch

# Where a container sees its control group: in version 2 the file, in version 1 the two.
CGROUPS = Path("/sys/fs/cgroup")


def quota(cgroups: Path = CGROUPS) -> float:
    """Return how many cores' time this container may use, infinity without a limit.

    A container that may use one core's time of the two that it sees would only switch between two workers.
    """
    try:
        if (limit := cgroups / "cpu.max").is_file():
            used, period = limit.read_text().split()
        else:
            used, period = ((cgroups / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return math.inf if used.strip() in {"max", "-1"} else int(used) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def cores(visible: int, quota: float) -> int:
    """Return how many slices to compute at once with so many visible cores and the time of so many."""
    return max(1, visible if quota >= visible else math.ceil(quota))


# How many slices are computed at once. Read on the main thread, when this module is imported: torch's figure differs
# per thread, and the predicting threads are set to 1.
CORES = cores(torch.get_num_threads(), quota())
# Instructions that add products of bytes directly to 32 bits: Intel's and AMD's by two names, Intel's tiles, Arm's.
EXACT_BYTE_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})
# Instructions that multiply bfloat16, as OpenVINO uses them.
BFLOAT16_PRODUCTS = frozenset({"avx512_bf16", "amx_bf16"})
FLAGS = re.compile(r"^(?:flags|Features)\s*:(.*)$", re.MULTILINE)


def adds_bytes_exactly(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether sums of byte products cannot overflow here; False where the system does not list instructions.

    Without EXACT_BYTE_PRODUCTS, pairs of products are added in 16 bits, which full 8-bit weights exceed.
    """
    return not EXACT_BYTE_PRODUCTS.isdisjoint(_instructions(cpuinfo))


def multiplies_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether this processor computes in bfloat16; False where the system does not list instructions."""
    return not BFLOAT16_PRODUCTS.isdisjoint(_instructions(cpuinfo))


def _instructions(cpuinfo: Path) -> Sequence[str]:
    try:
        found = FLAGS.search(cpuinfo.read_text())
    except OSError:
        return ()
    return found[1].split() if found else ()
