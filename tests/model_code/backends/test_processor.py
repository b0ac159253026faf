"""Which processors add byte products exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_code.backends.processor import adds_bytes_exactly


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


def test_a_system_that_lists_no_flags_counts_as_one_without(tmp_path: Path) -> None:
    assert adds_bytes_exactly(tmp_path / "absent") is False
