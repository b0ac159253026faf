"""Names of classes: letters of all scripts, and no character that reads as something else."""

from __future__ import annotations

import pytest

from untrusted.class_names import refused_in


@pytest.mark.parametrize(
    "name", ["covid", "no finding", "Pneumonie (ältere)", "肺炎", "می\u200cشود", "क\u200dष", "a\u00a0b"]
)
def test_names_of_all_scripts_are_taken(name: str) -> None:
    assert refused_in(name) == ""


@pytest.mark.parametrize(
    ("name", "character"),
    [
        ("covid\x1f7", "U+001F"),
        ("covid\n", "U+000A"),
        ("\x1b[31mcovid", "U+001B"),
        ("covid\x7f", "U+007F"),
        ("covid\x85", "U+0085"),
        ("covid\u2028normal", "U+2028"),
        ("covid\u2029", "U+2029"),
        ("\u202elamron", "U+202E"),
        ("a\u2066b", "U+2066"),
        ("normal\u200b", "U+200B"),
        ("\ufeffnormal", "U+FEFF"),
        ("a\ud800", "U+D800"),
    ],
)
def test_what_reads_as_something_else_is_refused_by_its_number(name: str, character: str) -> None:
    assert refused_in(name) == character
