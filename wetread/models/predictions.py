"""Print the model's answers (prediction/2 documents) for local files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wetread.console import note, print_json, print_table, warn
from wetread.formats import ABSTAINED, SEEN_SYNTHETIC, SYNTHETIC, read_as
from wetread.problems import Problem

COLUMNS = ("File", "Class", "Probability", "Others")


def show(files: Sequence[Path], found: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print the answers on stdout, a line each or as a JSON list; the notes of the lines are on stderr.

    Raises Problem when the model could not read some.
    """
    if as_json:
        print_json([{"File": str(file), **answer} for file, answer in zip(files, found, strict=True)])
    else:
        lines = [_line(file, answer) for file, answer in zip(files, found, strict=True)]
        print_table(COLUMNS, lines, elastic=("File", "Others"))
        for file, answer in zip(files, found, strict=True):
            for sentence in answer.get("Notes", []):
                note(f"{file}: {sentence}")
    if any(answer.get("Synthetic") for answer in found):
        warn(SEEN_SYNTHETIC)
    failed = sum("Error" in answer for answer in found)
    if failed:
        raise Problem(f"The model could not read {failed} of {len(files)} files.", "Their messages say why.")


def _line(file: Path, answer: Mapping[str, Any]) -> tuple[str, ...]:
    mark = f"{SYNTHETIC} " if answer.get("Synthetic") else ""
    if "Error" in answer:
        return (str(file), mark + answer["Error"]["Code"], "-", answer["Error"]["Message"])
    if answer.get("Typicality", {}).get("Abstained"):
        return (str(file), mark + ABSTAINED, "-", "-")
    found = answer["Class"]
    if answer.get("Unsure"):
        return (str(file), mark + read_as(found, answer["Probabilities"], unsure=True), "-", "-")
    others = ", ".join(f"{name} {100 * p:.1f} %" for name, p in answer["Probabilities"].items() if name != found)
    return (str(file), mark + found, f"{100 * answer['Probabilities'][found]:.1f} %", others)
