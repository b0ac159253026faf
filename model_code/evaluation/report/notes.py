"""Writes the caveats of a report: sentences about its test set that a reader must know before the figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model_code.evaluation.document import TestSet
from model_code.evaluation.intervals import FEWEST_PATIENTS
from model_code.snapshot import Snapshot, Split, SplitBy

# With fewer patients of a class, one patient more or less moves its sensitivity by more than a tenth.
FEW_PATIENTS = 10


def notes(document: Mapping[str, Any], snapshot: Snapshot, test: TestSet) -> list[str]:
    """Return the caveats of this evaluation, the gravest first."""
    found = [_by_folds(document), _synthetic(document["Cases"]), _shared_patients(snapshot), _split_by_slice(snapshot)]
    counts = document["Cases"]["ByClass"]
    none = [label for label in test.labels if counts[label]["Patients"] < FEWEST_PATIENTS]
    if none:
        found.append(
            f"Too few to say: fewer than {FEWEST_PATIENTS} test patients of {', '.join(none)}. Figures of these "
            "classes, and those that count all classes equally, are left out."
        )
    few = [
        f"{label} ({counts[label]['Patients']})"
        for label in test.labels
        if FEWEST_PATIENTS <= counts[label]["Patients"] < FEW_PATIENTS
    ]
    if few:
        found.append(
            f"Few test patients: {', '.join(few)}. One patient more or less would move these figures; look at the "
            "intervals, not at the values."
        )
    found += _comparisons(document["Attempt"])
    return [note for note in found if note]


def _by_folds(document: Mapping[str, Any]) -> str:
    """Return whose figures these are, where they are by folds; else ""."""
    found = document.get("OutOfFold")
    if not found:
        return ""
    folds, whole = found["Folds"], found["Whole"]
    accuracies = [one["BalancedAccuracy"] for one in folds if one["BalancedAccuracy"] is not None]
    return (
        f"Every figure is of {len(folds)} models, and not of the model that is promoted. Each was trained alike on "
        f"about {len(folds) - 1}/{len(folds)} of the patients and read the others, so every patient is tested once; "
        f"their balanced accuracies are {min(accuracies):.2f} to {max(accuracies):.2f}. The model that is promoted "
        f"was trained on all. It reads these same slices with {whole['BalancedAccuracy']:.2f}, which says only that "
        f"its training went well, and gives the same class in {whole['SameClass']:.0%}."
    )


def _synthetic(cases: Mapping[str, Any]) -> str:
    """Return a sentence on artificial test slices, "" without any."""
    found = cases.get("Synthetic", 0)
    if not found:
        return ""
    share = "All" if found == cases["Slices"] else f"{found} of the {cases['Slices']}"
    return f"{share} test slices are artificial (SyntheticData is YES): on them no figure is about a person."


def _comparisons(attempt: Mapping[str, Any]) -> list[str]:
    """Return what limits the comparisons: earlier attempts, patients that a model was trained on, unknown training."""
    found = []
    if attempt["Number"] > 1:
        found.append(
            f"Attempt {attempt['Number']}: {attempt['Number'] - 1} other run(s) measured models on patients of this "
            "test part. One of many seems good by chance, so the gate decides at a level of "
            f"{attempt['Level']:.2g} instead of 0.02."
        )
    for role in ("Champion", "Reference"):
        one = attempt[role]
        if one and one["Seen"]:
            found.append(
                f"The {role.lower()} was trained on {one['Seen']} of the test patients; it is compared with the "
                f"candidate, and measured, on the {one['Patients']} others alone."
            )
        if one and one.get("OutOfFold"):
            found.append(
                f"The {role.lower()} is compared out of fold, too, on the {one['OutOfFold']} patients that both were "
                "trained on; on others it is compared as it is."
            )
        if one and not one["Seen"] and not one["TrainingKnown"]:
            found.append(
                f"It is not known what the {role.lower()} was trained on. It may have seen some of these patients, "
                "which flatters it in the comparison; the candidate was not trained on them."
            )
        if one and role == "Reference":
            found.append(
                f"The candidate was compared with the best champion so far, too ({one['Model']['Name']} "
                f"{one['Model']['Version']}), so that what every promotion may lose does not add up. Difference "
                f"{_signed(one['Difference'])}, at least {_signed(one['Bound'])} at the gate's level."
            )
    return found


def _signed(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.3f}"


def _shared_patients(snapshot: Snapshot) -> str:
    tested = {case.patient for case in snapshot.of(Split.TEST)}
    shared = tested & {case.patient for case in snapshot.cases if case.split is not Split.TEST}
    if not shared:
        return ""
    return (
        f"{len(shared)} of {len(tested)} test patients also have slices in the training or validation part. The model "
        "may recognise the patient instead of the disease: no figure here says how it does on a new patient."
    )


def _split_by_slice(snapshot: Snapshot) -> str:
    if snapshot.split_by is not SplitBy.SLICE:
        return ""
    return "The split was made by slice, because a class has too few patients to divide them."
