"""Fuzz the header reader and ``input_fn``; exit with 1 if any input escapes.

python -m assurance.fuzz [--seconds 60] [--seed 1] [--escapes FOLDER]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from assurance.fuzz.bounds import INPUT_SECONDS, MEMORY_BYTES
from assurance.fuzz.fuzz import Report, fuzz

MIB = 1024**2


def main() -> int:
    """Fuzz and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m assurance.fuzz")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--escapes", type=Path, help="where inputs that escape are saved; a new folder when absent")
    arguments = parser.parse_args()
    folder = arguments.escapes or Path(tempfile.mkdtemp(prefix="hostile-"))
    report = fuzz(folder, seed=arguments.seed, seconds=arguments.seconds)
    print(table(report))
    for path, what in report.escapes:
        print(f"ESCAPE {path}: {what}")
    return 1 if report.escapes else 0


def table(report: Report) -> str:
    """Return the report for a person."""
    rows = [
        ("inputs", f"{report.inputs}"),
        ("inputs/s", f"{report.inputs / report.seconds:.0f}"),
        ("in the corpus", f"{report.corpus}"),
        ("lines covered", f"{len(report.lines)} of {len(report.all_lines)}"),
        ("slowest input", f"{report.slowest[0]:.2f} s ({report.slowest[1]}); bound {INPUT_SECONDS:.0f} s"),
        ("peak memory", f"{report.memory / MIB:.0f} MiB above the start; bound {MEMORY_BYTES // MIB} MiB"),
        ("escapes", f"{len(report.escapes)}"),
    ]
    ended: dict[str, int] = {}
    for (at_ingest, in_container), count in report.ended.items():
        for name in (f"ingest {at_ingest}", f"container {in_container}"):
            ended[name] = ended.get(name, 0) + count
    rows += [(f"  {name}", f"{count}") for name, count in sorted(ended.items(), key=lambda one: (one[0][0], -one[1]))]
    return "\n".join(f"{name:<38}{value}" for name, value in rows)


if __name__ == "__main__":
    sys.exit(main())
