"""Code and pages are in plain English: banned phrases stay away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = (
    "aggregation",
    "functions",
    "infra",
    "model_code",
    "untrusted",
    "localcloud",
    "wetread",
    "assurance",
    "benchmarks",
    "tests",
)
RECORDS = frozenset({"CHANGELOG.md", "decisions.md", "licences.md"})
"""Pages that keep what was written, and one that a program writes."""
BANNED = re.compile(
    r"\b(that (?:is|are) none|told|tells|goes on|of its own|whoever|stands(?! in for))\b", re.IGNORECASE
)


def texts() -> list[Path]:
    """Return the sources and pages of the repository."""
    code = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    # What `npm ci` installs for the CDK CLI lies in infra/cli, and others wrote it.
    pages = [
        path for room in (*ROOMS, "docs") for path in (ROOT / room).rglob("*.md") if "node_modules" not in path.parts
    ]
    return [*code, *(path for path in (*pages, *ROOT.glob("*.md")) if path.name not in RECORDS)]


def test_no_banned_phrase_is_used() -> None:
    others = [path for path in texts() if path != Path(__file__)]
    found = {str(path.relative_to(ROOT)): BANNED.findall(path.read_text()) for path in others}
    assert not {path: phrases for path, phrases in found.items() if phrases}


@pytest.mark.parametrize("text", ["a value that is none", "who waits is told", "a table of its own", "Whoever reads"])
def test_a_banned_phrase_is_found(text: str) -> None:
    assert BANNED.search(text)
