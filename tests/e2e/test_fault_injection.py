"""The faults that need no redelivery of a message: nothing is lost and nothing ends wrongly."""

from __future__ import annotations

import subprocess
import sys

import pytest

from assurance.fault_injection.__main__ import ALL
from wetread.project import PROJECT

CHOSEN = ("container", "emulator", "disk", "burst", "bombs", "run", "poison")
SECONDS = 2 * len(CHOSEN) * 900
"""Each fault waits twice at most; the command itself gives up first, and says what it lacks."""
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
        ",".join(CHOSEN),
    ]
    done = subprocess.run([sys.executable, *command], cwd=PROJECT.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]
    assert [fault for fault, *_ in rows] == [ALL[name].name for name in CHOSEN]
    for name, (fault, seen, uploads, completed, failed, lost, *_) in zip(CHOSEN, rows, strict=True):
        if not seen.startswith("skipped"):
            bombs = ALL[name].bombs
            assert (int(completed), int(failed), int(lost)) == (int(uploads) - bombs, bombs, 0), fault
