"""Measure intervals and model gate on simulated test sets with known truth, and print a table for each question.

    python -m assurance.gates [coverage] [promotion] [first] [reuse] [hard] [subgroups] [folds] [--draws 400]
                           [--seed 7] [--patients 6,24] [--settings base,high]

- coverage: of the 95 % intervals; it should be 0.93 at least, and from 60 patients on 0.98 at most.
- promotion: how often a candidate passes, by how much better than the champion it truly is. One that is 5 points worse,
  which is the default margin, should pass in 0.05 of the runs at most. Beside it, for an equal one, how often a person
  may decide because the patients are too few, and the power that `wetread train` prints.
- first: how often a first model passes the default thresholds, by its true balanced accuracy; they ask for 0.7.
- reuse: of one test part: how often one of ten candidates passes that are all 5 points worse; how a chain of candidates
  ends, each 3 points worse than the champion of its time; and an equal one against a champion that saw the patients.
- hard: how often a candidate passes that is worse by so much through patients of one class alone, on whom it fails
  wholly; and how often one of ten that all fail on the same patients. Beside it, one that is 5 points worse everywhere.
- subgroups: how often a model is refused because a subgroup seems to fall far below the whole, by how much it truly is
  worse in the largest age band; and how often it would be by the subgroups' values without their intervals.
- folds: of so many labelled patients, all tested: how often a candidate is promoted whose training is better by so
  much, and how often one of ten retrainings that are 5 points worse; for folds whose models differ by so much (the
  standard deviation of their balanced accuracy). Beside it, how often of two models of equal training one is worse than
  the other by more than the margin, which no figure by folds can show.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Sequence

from assurance.gates import folds, hard, subgroups
from assurance.gates.generator import BASE, HIGH, SETTINGS, Setting
from assurance.gates.reuse import GENERATIONS, after_training_on_some, chained, first_retrained, retrained
from assurance.gates.trials import METRICS, coverage, left_to_a_person, predicted, promoted
from model_code.evaluation.intervals import FEWEST_PATIENTS

WORSE = -0.05  # the default margin; what is held against it takes many draws, all else a tenth of them
FEWER = 10
BETTER = (-0.10, WORSE, -0.02, 0.0, 0.02, 0.05, 0.10)
FIRST = (0.60, 0.65, 0.70, 0.75, 0.85, 0.95)
RETRIED = (0.65, 0.70)
BY_FOLDS = (-0.05, 0.0, 0.05, 0.10)
TRIES = 10
OF_FOLDS = (*(f"{100 * one:+.0f}" for one in BY_FOLDS), f"-5: one of {TRIES}", "0: worse as models")
REUSE = (
    f"-5: one of {TRIES} passes",
    f"-3, {GENERATIONS} generations: promotions",
    "mean loss",
    "chains that lost more than the margin",
    "equal, champion trained on 60 %: left out",
    "not left out",
)

IN_ONE_CLASS = (0.05, 0.10)
HARD = (
    "-5 everywhere",
    *(f"{-100 * one:.0f} in one class" for one in IN_ONE_CLASS),
    f"-5 in one class: one of {TRIES}",
    "share of its patients",
)

WORSE_IN_ONE = (0.0, 0.25, 0.4, 0.5)
SUBGROUPS = tuple(f"{-100 * one:.0f} in one{how}" for one in WORSE_IN_ONE for how in ("", ", by value alone"))

Lines = Callable[[Setting, int], Sequence[float] | None]


def main() -> int:
    """Print the tables; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "tables",
        nargs="*",
        metavar="TABLE",
        default=["coverage", "promotion", "first", "reuse", "hard", "subgroups", "folds"],
    )
    parser.add_argument("--draws", type=int, default=400, help="test sets for each cell")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--patients", default="6,12,24,60,200")
    parser.add_argument("--settings", default=",".join(one.name for one in SETTINGS))
    options = parser.parse_args()
    sizes, draws, seed = [int(one) for one in options.patients.split(",")], options.draws, options.seed

    def covered(setting: Setting, patients: int) -> Sequence[float] | None:
        if patients // sum(setting.shares) * min(setting.shares) < FEWEST_PATIENTS:
            return None
        found = coverage(setting, patients, draws, seed)
        return [found[name] for name in (*METRICS, "Width0")]

    def passed(setting: Setting, patients: int) -> Sequence[float] | None:
        few = max(1, draws // FEWER)
        found = [promoted(setting, patients, better, draws if better == WORSE else few, seed) for better in BETTER]
        enough = patients // sum(setting.shares) >= 2
        powers = [predicted(setting, patients, better) if enough else 0.0 for better in (0.0, 0.05)]
        return [*found, left_to_a_person(setting, patients, few, seed), *powers]

    def first(setting: Setting, patients: int) -> Sequence[float] | None:
        once = [first_retrained(setting, patients, one, 1, draws, seed) for one in FIRST]
        return [*once, *(first_retrained(setting, patients, one, TRIES, draws, seed) for one in RETRIED)]

    def reused(setting: Setting, patients: int) -> Sequence[float] | None:
        chain = chained(setting, patients, -0.03, draws, seed)
        return [
            retrained(setting, patients, -0.05, TRIES, draws, seed),
            *(chain.promotions, chain.loss, chain.lost_more_than_the_margin),
            *after_training_on_some(setting, patients, 0.0, max(1, draws // FEWER), seed),
        ]

    def failing(setting: Setting, patients: int) -> Sequence[float] | None:
        return [
            promoted(setting, patients, WORSE, draws, seed),
            *(hard.promoted(setting, patients, one, 1, draws, seed) for one in IN_ONE_CLASS),
            hard.promoted(setting, patients, -WORSE, TRIES, draws, seed),
            hard.share_of(setting, -WORSE),
        ]

    points = [f"{100 * better:+.0f}" for better in BETTER]
    known: dict[str, tuple[Sequence[Setting], Sequence[str], Lines]] = {
        "coverage": (SETTINGS, (*METRICS, "Width0"), covered),
        "promotion": ((BASE, HIGH), (*points, "0: too few", "power 0", "power +5"), passed),
        "first": (
            (BASE, HIGH),
            [*(f"{one:.2f}" for one in FIRST), *(f"{one:.2f}: one of {TRIES} passes" for one in RETRIED)],
            first,
        ),
        "reuse": ((BASE, HIGH), REUSE, reused),
        "hard": ((BASE, HIGH), HARD, failing),
        "subgroups": ((BASE, HIGH), SUBGROUPS, functools.partial(_in_one, draws=draws, seed=seed)),
    } | {
        _spread(one): ((BASE, HIGH), OF_FOLDS, functools.partial(_by_folds, spread=one, draws=draws, seed=seed))
        for one in folds.SPREADS
    }
    for name in (
        table for one in options.tables for table in (map(_spread, folds.SPREADS) if one == "folds" else [one])
    ):
        settings, columns, lines = known[name]
        print(f"\n{name}, {draws} draws, seed {seed}\n\n| setting | patients | {' | '.join(columns)} |")
        print("|---" * (2 + len(columns)) + "|")
        for setting in (one for one in settings if one.name in options.settings.split(",")):
            for patients in sizes:
                found = lines(setting, patients)
                cells = " | ".join(f"{one:.3f}" for one in found) if found else "too few to say"
                print(f"| {setting.name} | {patients} | {cells} |", flush=True)
    return 0


def _in_one(setting: Setting, patients: int, *, draws: int, seed: int) -> Sequence[float]:
    found = [subgroups.refused(setting, patients, loss, draws, seed) for loss in WORSE_IN_ONE]
    return [share for one in found for share in (one.by_gate, one.by_value)]


def _by_folds(setting: Setting, patients: int, *, spread: float, draws: int, seed: int) -> Sequence[float] | None:
    if patients // sum(setting.shares) < FEWEST_PATIENTS:
        return None
    return [
        *(folds.promoted(setting, patients, better, spread, draws, seed) for better in BY_FOLDS),
        folds.retrained(setting, patients, -0.05, spread, TRIES, draws // 4, seed),
        folds.unseen_loss(spread),
    ]


def _spread(one: float) -> str:
    return f"folds that differ by {one:g}"


if __name__ == "__main__":
    sys.exit(main())
