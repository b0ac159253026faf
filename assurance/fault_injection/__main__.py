"""Inject faults into a separate local cloud: one row a fault; exit status 1 if an upload was lost or ended wrongly.

    python -m assurance.fault_injection [--uploads 60] [--burst 2000] [--only container,emulator]

Every upload but the bombs is a good slice, so each must end Completed, whatever is killed. Seconds are from the fault's
end until each row is terminal and each slot free. The sweep runs once a minute; the message of a killed function
is delivered again after six minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from assurance.fault_injection.express_faults import EXPRESS_FAULTS
from assurance.fault_injection.faults import BURST, FAULTS, Fault, Skipped
from assurance.fault_injection.stage import SIDE, Stage
from localcloud import cloud
from tests.training import train
from wetread.project import PROJECT

ALL = FAULTS | EXPRESS_FAULTS
HEADER = "| fault | what was seen | uploads | completed | failed | lost | jobs | dead letters | to quiescence |"


def main() -> int:
    """Inject all faults and print the table; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=60, help="of each fault but the burst")
    parser.add_argument("--burst", type=int, default=2000)
    parser.add_argument("--only", default=",".join(ALL), help=f"some of {', '.join(ALL)}")
    options = parser.parse_args()
    chosen = [(ALL[name], options.burst if name == BURST else options.uploads) for name in options.only.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        artifact = train(Path(scratch) / "opt-ml", image_size=SIDE)
        try:
            stage = Stage(Path(scratch), artifact)
            print(f"{HEADER}\n|---|---|---|---|---|---|---|---|---|", flush=True)
            sound = [_run(stage, fault, count) for fault, count in chosen]
        finally:
            cloud.down(PROJECT)
    return 0 if all(sound) else 1


def _run(stage: Stage, fault: Fault, count: int) -> bool:
    """Print one row; return whether all uploads ended as they should."""
    try:
        uploads, seen = fault.run(stage, count)
    except Skipped as reason:
        print(f"| {fault.name} | skipped: {reason} | | | | | | | |", flush=True)
        return True
    end = stage.settle(uploads)
    print(
        f"| {fault.name} | {seen} | {len(uploads)} | {end.completed} | {end.failed} | {end.lost} | {end.jobs} "
        f"| {end.dead_letters} | {end.seconds:.0f} s |",
        flush=True,
    )
    return (end.completed, end.failed, end.dead_letters) == (len(uploads) - fault.bombs, fault.bombs, 0)


if __name__ == "__main__":
    sys.exit(main())
