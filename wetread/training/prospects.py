"""Say what a run's test part can show, before anything is uploaded or paid for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from functions.domain.against import FIRST_INTERVAL
from functions.domain.power import power
from functions.domain.promotion import Thresholds
from functions.domain.slices import Split
from functions.domain.small_samples import FEWEST_PATIENTS, comparison_needs, first_model_needs
from functions.domain.split import HELD_OUT
from functions.domain.verdict import Risk
from wetread.deployment import Hosts
from wetread.parallel import each
from wetread.smoke.cost import AS_OF, HOUR
from wetread.training.cohorts import LabelledFiles, patient_of

CHAMPION = 0.85  # the balanced accuracy of the champion that is assumed
BETTER = {"as good": 0.0, "better by 5 points": 0.05, "better by 10": 0.1, "worse by 5": -0.05}


def cost_of_folds(folds: int, hosts: Sequence[Hosts]) -> str:
    """Return a sentence: how much longer the training job takes and what an hour of it costs; ``hosts`` of all jobs.

    Each fold's model is of all slices but its fold's, so all of them and the model of all take as long as ``folds``.
    """
    training = [one for one in hosts if one.usage.endswith("training job")]
    prices = [
        f" An hour of it costs {one.of_one * HOUR[one.instance_type]:.2f} USD by list price ({AS_OF})."
        for one in training
        if one.instance_type in HOUR
    ]
    on = "".join(f" on {one.of_one} {one.instance_type}" for one in training[:1])
    return (
        f"This stage tests by {folds} folds: the training job{on} trains {folds + 1} models one after another, which "
        f"takes and costs about {folds} times as much as one model of all patients, and at most {folds + 1} times."
        f"{''.join(prices[:1])}"
    )


def prospects(labelled: LabelledFiles, folds: int = 0) -> list[str]:
    """Return sentences: the patients who are tested, and how often a candidate passes with the default thresholds.

    The division is the workflow's, so without a ``split`` in the labels the numbers of patients are about right only;
    by ``folds`` all are tested.
    """
    patients, slices = _tested(labelled, folds)
    fewest, classes = min(patients.values(), default=0), len(patients)
    counts = ", ".join(f"{label} {count}" for label, count in patients.items())
    found = [f"Patients in the test part: {counts} (about)."]
    if folds:
        found = [f"Patients, each tested once in one of {folds} folds: {counts}."]
        if fewest < folds:
            return [*found, f"Fewer than {folds} of a class are refused: some fold would have none of it."]
    if classes < 2 or fewest < FEWEST_PATIENTS:
        return [
            *found,
            f"Fewer than {FEWEST_PATIENTS} of a class are too few to say anything, and are refused.",
        ]
    default = Thresholds()
    least = (default.min_balanced_accuracy, default.min_sensitivity, default.min_specificity)
    first = first_model_needs(*least, classes=classes)
    found.append(f"A first model passes the default thresholds only with at least {first} test patients of each class.")
    margin = default.champion_margin
    later = comparison_needs(margin, classes, FIRST_INTERVAL, folds)
    if later is not None and fewest < later:
        return [*found, f"No model passes against a champion: that takes at least {later} test patients of each class."]
    rates = {
        name: power(list(patients.values()), slices, accuracy=CHAMPION, better=better, margin=margin, folds=folds)
        for name, better in BETTER.items()
    }
    said = ", ".join(f"{name} {100 * rate:.0f} %" for name, rate in rates.items())
    return [
        *found,
        f"Against a champion with a balanced accuracy of {CHAMPION:g}, at a margin of {margin:g}, the gate passes a "
        f"candidate that is: {said}. Where it cannot tell, a person may: --accept-risk {Risk.TOO_FEW_TO_COMPARE}.",
        "This is for the first run on these patients, none of whom the champion was trained on; later ones pass less.",
    ]


def _tested(labelled: LabelledFiles, folds: int) -> tuple[Mapping[str, int], int]:
    """Return the number of test patients of each class, and of slices of each patient."""
    read, _ = each(lambda source: patient_of(source.path), labelled.files, lambda: None)
    names = {source.key: name or source.key for source, name in read}
    given = any(one.split for one in labelled.entries)
    patients: dict[str, set[str]] = defaultdict(set)
    for source, one in zip(labelled.files, labelled.entries, strict=True):
        if one.label and (not given or one.split is Split.TEST):
            patients[one.label].add(names.get(source.key, source.key))
    share = 1 if given or folds else HELD_OUT
    counts = {label: round(len(ids) * share) for label, ids in sorted(patients.items())}
    return counts, max(1, round(len(labelled.files) / max(1, len(set(names.values())))))
