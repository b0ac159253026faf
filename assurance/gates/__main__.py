"""Measure the intervals and the model gate on simulated test sets with known truth, and print three tables.

    python -m assurance.gates [--draws 400] [--seed 7] [--patients 12,24,60,200]

The coverage of the 95 % intervals should be 0.93 at least. A candidate that is 5 points worse than the champion, which
is the default margin, should pass in 0.05 of the runs at most, and so should one of ten such retrainings. A chain of
candidates, each 3 points worse than the champion of its time, should not lose more than the margin.
"""

from __future__ import annotations

import argparse
import sys

from assurance.gates.generator import SETTINGS
from assurance.gates.reuse import GENERATIONS, after_training_on_some, chained, retrained
from assurance.gates.trials import METRICS, coverage, promoted

BETTER = (-0.10, -0.05, -0.02, 0.0, 0.02)
TRIES = 10


def main() -> int:
    """Print the tables; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400, help="test sets for each cell")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--patients", default="12,24,60,200")
    options = parser.parse_args()
    sizes = [int(one) for one in options.patients.split(",")]
    names = (*METRICS, "Width0")
    print(f"Coverage, {options.draws} draws, seed {options.seed}\n\n| setting | patients | {' | '.join(names)} |")
    print("|---" * (2 + len(names)) + "|")
    for setting in SETTINGS:
        for patients in sizes:
            found = coverage(setting, patients, options.draws, options.seed)
            cells = " | ".join(f"{found[name]:.3f}" for name in names)
            print(f"| {setting.name} | {patients} | {cells} |", flush=True)
    columns = " | ".join(f"{100 * better:+.0f}" for better in BETTER)
    print(f"\nPromoted\n\n| setting | patients | {columns} |")
    print("|---" * (2 + len(BETTER)) + "|")
    for setting in SETTINGS:
        for patients in sizes:
            shares = [promoted(setting, patients, better, options.draws, options.seed) for better in BETTER]
            print(f"| {setting.name} | {patients} | {' | '.join(f'{one:.3f}' for one in shares)} |", flush=True)
    _print_reuse(sizes, options.draws // 4, options.seed)
    return 0


def _print_reuse(sizes: list[int], draws: int, seed: int) -> None:
    print(f"\nOne test part used again, {draws} draws\n")
    print(
        f"| setting | patients | -5: one of {TRIES} passes | -3, {GENERATIONS} generations: promotions | mean loss | "
        "chains that lost more than the margin | equal, champion trained on 60 %: left out | not left out |"
    )
    print("|---" * 8 + "|")
    for setting in SETTINGS:
        for patients in sizes:
            chain = chained(setting, patients, -0.03, draws, seed)
            figures = (
                retrained(setting, patients, -0.05, TRIES, draws, seed),
                *(chain.promotions, chain.loss, chain.lost_more_than_the_margin),
                *after_training_on_some(setting, patients, 0.0, draws, seed),
            )
            print(f"| {setting.name} | {patients} | {' | '.join(f'{one:.3f}' for one in figures)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
