"""The faults that need no redelivery of a message: nothing is lost and nothing ends wrongly."""

from __future__ import annotations

import subprocess
import sys

import pytest

from assurance.fault_injection.faults import BOMBS, FAULTS
from wetread.project import PROJECT

SECONDS = 2 * 5 * 900
"""For five faults, each of which waits twice at most; the command itself gives up first, and says what it lacks."""
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(SECONDS)]


def test_what_is_killed_or_full_loses_nothing() -> None:
    command = [
        "-m",
        "assurance.fault_injection",
        "--uploads",
        "12",
        "--burst",
        "60",
        "--only",
        "container,emulator,disk,burst,bombs",
    ]
    done = subprocess.run([sys.executable, *command], cwd=PROJECT.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]
    assert len(rows) == 5
    for fault, seen, uploads, completed, failed, lost, *_ in rows:
        if not seen.startswith("skipped"):
            bombs = BOMBS if fault == FAULTS["bombs"].name else 0
            assert (int(completed), int(failed), int(lost)) == (int(uploads) - bombs, bombs, 0), fault
