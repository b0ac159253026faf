"""A short fuzz with a fixed seed; ``python -m assurance.fuzz`` continues for as long as asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from assurance.fuzz import fuzz
from assurance.fuzz.bounds import MEMORY_BYTES
from tests.hostile.objects import SECRET

INPUTS = 900

pytestmark = pytest.mark.check


@pytest.mark.timeout(600)
def test_no_input_escapes(tmp_path: Path) -> None:
    report = fuzz.fuzz(tmp_path, seed=20261126, inputs=INPUTS)
    assert report.escapes == []
    assert report.inputs == INPUTS
    assert report.memory < MEMORY_BYTES
    # The watched files also hold what this short run does not reach: JPEG 2000's tiles and boxes, readers of larger
    # headers, names of other formats, planes that only other stages serve.
    assert len(report.lines) > len(report.all_lines) * 0.8


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("raise KeyError('x')", "KeyError"),
        ("raise MemoryError", "MemoryError"),
        ("bytearray(2**40)", "MemoryError"),
        ("__import__('os')._exit(7)", "ended with status 7"),
        ("__import__('time').sleep(99)", "longer than"),
        (f"raise Refusal(RefusalCode.EMPTY, '{SECRET}')", "Unsound"),
    ],
)
def test_whatever_escapes_is_saved_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, what: str
) -> None:
    monkeypatch.setattr(fuzz, "INPUT_SECONDS", 5.0)
    monkeypatch.setattr(fuzz, "COMMAND", [*fuzz.COMMAND[:1], "-c", FAULTY.format(fault=fault)])
    report = fuzz.fuzz(tmp_path, seed=1, inputs=1)
    ((path, reported),) = report.escapes
    assert what in reported
    assert path.read_bytes()


FAULTY = """
import sys
from multiprocessing.connection import Connection
from functions.domain.errors import Refusal, RefusalCode
from assurance.fuzz import worker
from functions.domain import header

def faulty(*_):
    {fault}

header.read_header = faulty
worker.main(Connection(int(sys.argv[1])), Connection(int(sys.argv[2])))
"""
