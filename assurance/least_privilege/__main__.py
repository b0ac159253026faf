"""Record the whole story's IAM requests; or run it without each statement.

    python -m assurance.least_privilege                                        # records, a quarter of an hour and more
    python -m assurance.least_privilege remove [--role NAME] [--action ACTION] # half an hour, or some of it

`remove` starts a separate local cloud, removes each statement that the record needs, one at a time, runs the shortest
story that uses it, and restores it. Exit status 1 if a story does not fail that should. Queues redeliver a message
after 8 seconds there, the sweep has no schedule, and the model's gate is open.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from assurance.fault_injection.stage import SIDE
from assurance.least_privilege.record import record
from assurance.least_privilege.remove import STORIES, remove
from localcloud import cloud
from tests.training import train
from wetread.project import PROJECT


def main() -> int:
    """Record or remove; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=("record", "remove"), default="record")
    parser.add_argument("--role", action="append", default=[], choices=STORIES, help="of some roles only")
    parser.add_argument("--action", action="append", default=[], help="only statements with some actions")
    options = parser.parse_args()
    if options.command == "record":
        record()
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        artifact = train(Path(scratch) / "opt-ml", image_size=SIDE)
        try:
            return 0 if remove(Path(scratch), artifact, options.role, options.action) else 1
        finally:
            cloud.down(PROJECT)


if __name__ == "__main__":
    sys.exit(main())
