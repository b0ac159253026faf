"""Which processors add byte products exactly, and which multiply bfloat16."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from model_code.backends.processor import adds_bytes_exactly, cores, multiplies_bfloat16, quota


@pytest.mark.parametrize(
    ("line", "exact"),
    [
        ("flags\t\t: fpu avx512f avx512_vnni avx512vl", True),
        ("flags\t\t: fpu avx2 avx_vnni", True),
        ("Features\t: fp asimd asimddp", True),
        ("flags\t\t: fpu avx avx2 avx512f", False),
        ("flags\t\t: fpu not_avx512_vnni_either", False),
        ("bogomips\t: avx512_vnni", False),
    ],
)
def test_it_is_read_from_the_processors_flags(tmp_path: Path, line: str, exact: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\n{line}\n\nprocessor\t: 1\n{line}\n")
    assert adds_bytes_exactly(cpuinfo) is exact


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16", True),
        ("flags\t\t: fpu amx_tile amx_bf16", True),
        ("flags\t\t: fpu avx512f avx512_vnni", False),
        ("bogomips\t: amx_bf16", False),
    ],
)
def test_bfloat16_is_read_from_them_too(tmp_path: Path, line: str, has: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n")
    assert multiplies_bfloat16(tmp_path / "cpuinfo") is has


def test_a_system_that_lists_no_flags_counts_as_one_without(tmp_path: Path) -> None:
    assert adds_bytes_exactly(tmp_path / "absent") is False
    assert multiplies_bfloat16(tmp_path / "absent") is False


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({"cpu.max": "nonsense\n"}, math.inf),
        ({}, math.inf),
    ],
)
def test_a_containers_share_is_read_from_its_control_group(
    tmp_path: Path, files: dict[str, str], expected: float
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert quota(tmp_path) == expected


@pytest.mark.parametrize(
    ("visible", "share", "expected"), [(8, math.inf, 8), (8, 1, 1), (8, 1.5, 2), (8, 0.5, 1), (2, 4, 2)]
)
def test_as_many_slices_at_once_as_the_share_is_for(visible: int, share: float, expected: int) -> None:
    assert cores(visible, share) == expected
