"""Measure what the data gate's audit finds, through the product's own code, and print a table for each question.

    python -m assurance.data_gate [copies] [ids] [strangers] [cohorts] [--slices FOLDER] [--seed 7] [--deals 40]
                                  [--cohorts 20] [--sizes 2,4,6,12,20]

- copies: of slices that were mirrored, rotated, cropped, windowed or masked; 0.95 should be found, and no stranger.
- ids: one patient under two ids in two parts, with 5 slices each (or half of what there is); 0.9 should be found.
- strangers: whether any two phantoms are taken for one patient, with each patient once alone in the test part; none
  should be, although all are of one template.
- cohorts: how often cohorts are refused because something other than the lungs separates the classes, and how often
  the audit says that it could not have refused them.

Slices are of real patients where ``--slices`` names a folder of DICOM files, and of phantoms.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from assurance.data_gate.changed import CHANGES
from assurance.data_gate.cohorts import COHORTS, refused
from assurance.data_gate.pictures import Shown, copies_found, phantoms, real, second_ids_found, strangers_accused
from model_code.audit.likeness import likeness

EACH = 5
STRANGERS = ((8, 2), (12, 1), (12, 2), (12, 3), (20, 2), (30, 1))  # patients, and slices of each


def main() -> int:
    """Print the tables; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", default=["copies", "ids", "strangers", "cohorts"])
    parser.add_argument("--slices", type=Path, help="a folder of DICOM slices of real patients")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--deals", type=int, default=40, help="of a patient's slices to two ids")
    parser.add_argument("--cohorts", type=int, default=20, help="for each cell")
    parser.add_argument("--patients", type=int, default=20, help="phantoms, of two slices each")
    parser.add_argument("--sizes", default="2,4,6,12,20", help="patients a class, of the cohorts")
    options = parser.parse_args()
    pictures = {"phantoms": phantoms(options.patients, 2, 160, options.seed)} if _wants(options.tables) else {}
    if options.slices and _wants(options.tables):
        pictures = {"real": real(options.slices), **pictures}
    for name, shown in pictures.items():
        _pictures(name, shown, options)
    if "strangers" in options.tables:
        for patients, slices in STRANGERS:
            shown = phantoms(patients, slices, 160, options.seed)
            accused, compared = strangers_accused(shown, [likeness(one.hounsfield) for one in shown])
            name = f"{patients} phantoms, {slices} slices each"
            print(f"{name:40} {accused} accused in {compared} comparisons", flush=True)
    if "cohorts" in options.tables:
        sizes = [int(one) for one in options.sizes.split(",")]
        print(f"{'refused / underpowered, patients a class':40}", *(f"{size:>12}" for size in sizes))
        for cohort in COHORTS:
            cells = [refused(cohort, size, options.cohorts, options.seed) for size in sizes]
            print(f"{cohort:40}", *(f"{one:6.2f} {blind:5.2f}" for one, blind in cells), flush=True)
    return 0


def _wants(tables: Sequence[str]) -> bool:
    return bool({"copies", "ids"} & set(tables))


def _pictures(name: str, shown: list[Shown], options: argparse.Namespace) -> None:
    began = time.process_time()
    before = [likeness(one.hounsfield) for one in shown]
    print(
        f"{name}: {len(shown)} slices, {1000 * (time.process_time() - began) / len(shown):.0f} ms each for a likeness"
    )
    accused, compared = strangers_accused(shown, before)
    print(f"{'different patients as they are':40} {accused} accused in {compared} comparisons", flush=True)
    if "copies" in options.tables:
        for change, how in CHANGES.items():
            found, wrong = copies_found(shown, before, how)
            print(f"{change:40} {found:.2f} found, {wrong} strangers accused", flush=True)
    if "ids" in options.tables and name == "real":
        for number, (each, found, wrong) in enumerate(
            second_ids_found(shown, before, EACH, options.deals, options.seed).values(), start=1
        ):
            print(f"{f'patient {number} under two ids, {each} slices each':40} {found:.2f} found, {wrong} accused")


if __name__ == "__main__":
    sys.exit(main())
