"""Fault drills on a local cloud of its own: a row each, and exit status 1 if anything was lost or ended wrongly.

    python -m assurance.fault_injection [--uploads 60] [--storm 2000] [--only container,emulator]

Every upload but the bombs is a good slice, so each must end Completed, whatever is killed. Seconds are from the fault's
end until each row is terminal and each slot free. The sweep looks once a minute; a message that a killed function had
is delivered again after six minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from assurance.fault_injection.faults import DRILLS, STORM, Drill, Skipped
from assurance.fault_injection.stage import SIDE, Stage
from localcloud import cloud
from tests.training import train
from wetread.project import PROJECT

HEADER = "| fault | what was seen | uploads | completed | failed | lost | jobs | dead letters | to quiescence |"


def main() -> int:
    """Run all drills and print the table; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=60, help="of each drill but the storm")
    parser.add_argument("--storm", type=int, default=2000)
    parser.add_argument("--only", default=",".join(DRILLS), help=f"some of {', '.join(DRILLS)}")
    options = parser.parse_args()
    chosen = [(DRILLS[name], options.storm if name == STORM else options.uploads) for name in options.only.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        artifact = train(Path(scratch) / "opt-ml", image_size=SIDE)
        try:
            stage = Stage(Path(scratch), artifact)
            print(f"{HEADER}\n|---|---|---|---|---|---|---|---|---|", flush=True)
            sound = [_run(stage, drill, count) for drill, count in chosen]
        finally:
            cloud.down(PROJECT)
    return 0 if all(sound) else 1


def _run(stage: Stage, drill: Drill, count: int) -> bool:
    """One row; whether all ended as it should."""
    try:
        uploads, seen = drill.run(stage, count)
    except Skipped as reason:
        print(f"| {drill.name} | skipped: {reason} | | | | | | | |", flush=True)
        return True
    end = stage.settle(uploads)
    print(
        f"| {drill.name} | {seen} | {len(uploads)} | {end.completed} | {end.failed} | {end.lost} | {end.jobs} "
        f"| {end.dead_letters} | {end.seconds:.0f} s |",
        flush=True,
    )
    return (end.completed, end.failed, end.dead_letters) == (count, drill.bombs, 0)


if __name__ == "__main__":
    sys.exit(main())
