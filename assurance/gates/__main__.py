"""Measure the intervals and the model gate on simulated test sets with known truth, and print two tables.

    python -m assurance.gates [--draws 400] [--seed 7] [--patients 12,24,60,200]

The coverage of the 95 % intervals should be 0.93 at least. A candidate that is 5 points worse than the champion, which
is the default margin, should pass in 0.05 of the runs at most.
"""

from __future__ import annotations

import argparse
import sys

from assurance.gates.generator import SETTINGS
from assurance.gates.trials import METRICS, coverage, promoted, promoted_within

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
    print(f"\nPromoted\n\n| setting | patients | {columns} | -5, one of {TRIES} |")
    print("|---" * (3 + len(BETTER)) + "|")
    for setting in SETTINGS:
        for patients in sizes:
            shares = [promoted(setting, patients, better, options.draws, options.seed) for better in BETTER]
            shares.append(promoted_within(setting, patients, -0.05, TRIES, options.draws // 4, options.seed))
            print(f"| {setting.name} | {patients} | {' | '.join(f'{one:.3f}' for one in shares)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
