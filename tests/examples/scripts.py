"""Run a script of examples/ in this process, as a shell would."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(monkeypatch: pytest.MonkeyPatch, script: str, *words: str) -> None:
    """Run the script with these words behind its name."""
    path = str(EXAMPLES / script)
    monkeypatch.setattr(sys, "argv", [path, *words])
    runpy.run_path(path, run_name="__main__")
