"""`python -m assurance.simulation --schedules 100000`: random schedules over the functions' own code, on all cores.

Prints totals; exits with 1, and the seeds, if any schedule lost, doubled or stranded an upload.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

from tests.simulation import many

SHOWN_EVERY = 1000


@dataclass
class Tally:
    """Totals of the schedules so far."""

    schedules: int = 0
    uploads: int = 0
    calls: int = 0
    crashes: int = 0
    failed: int = 0

    def add(self, seen: many.Seen) -> None:
        """Count one schedule."""
        self.schedules += 1
        self.uploads += seen.uploads
        self.calls += seen.calls
        self.crashes += seen.crashes
        self.failed += bool(seen.failure)


def main() -> int:
    """Run the schedules; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m assurance.simulation")
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    arguments = parser.parse_args()
    tally, started = Tally(), time.monotonic()
    with many.cores() as pool:
        for seen in many.run(pool, range(arguments.first, arguments.first + arguments.schedules)):
            tally.add(seen)
            if seen.failure:
                print(f"seed {seen.seed} failed:\n{seen.failure}")
            if tally.schedules % SHOWN_EVERY == 0:
                print(f"{tally.schedules} schedules, {tally.failed} failed", file=sys.stderr, flush=True)
    seconds = time.monotonic() - started
    print(f"{'schedules':<24}{tally.schedules:>14,}   seeds from {arguments.first}")
    for name, value in (("uploads", tally.uploads), ("AWS calls", tally.calls), ("crashes", tally.crashes)):
        print(f"{name:<24}{value:>14,}   {value / tally.schedules:,.1f} a schedule")
    print(f"{'failed':<24}{tally.failed:>14,}")
    print(f"{'seconds':<24}{seconds:>14,.0f}   {tally.schedules / seconds:.1f} schedules a second")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
