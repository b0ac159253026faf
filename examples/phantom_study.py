"""Write one study of phantoms: two series with lesions on some of their slices, a localizer and a dose report.

    python examples/phantom_study.py study --class covid
    wetread --local submit study --wait

The last command waits for the read of the study. Another --seed makes another patient.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from wetread.demo.phantoms import LABELS
from wetread.demo.studies import write_study


def main() -> None:
    """Write the study; print its UID."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write; it must be empty or new")
    parser.add_argument("--class", dest="label", choices=LABELS, default="covid", help="what its lesions look like")
    parser.add_argument("--size", type=int, default=256, help="rows and columns of a slice")
    parser.add_argument("--seed", type=int, default=7, help="another one is another patient; the demo's studies have 1")
    options = parser.parse_args()
    if options.folder.exists() and any(options.folder.iterdir()):
        parser.error(f"{options.folder} is not empty")
    study = write_study(options.folder, options.label, options.size, options.seed)
    files = len(list(options.folder.iterdir()))
    print(f"Study {study.study_instance_uid}, made as {study.label}: {files} files in {options.folder}.")


if __name__ == "__main__":
    main()
