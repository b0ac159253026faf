"""Writes the caveats of a report: sentences about its test set that a reader must know before the figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model_code.evaluation.document import TestSet
from model_code.snapshot import Snapshot, Split, SplitBy

# With fewer patients of a class, one patient more or less moves its sensitivity by more than a tenth.
FEW_PATIENTS = 10


def notes(document: Mapping[str, Any], snapshot: Snapshot, test: TestSet) -> list[str]:
    """Return the caveats of this evaluation, the gravest first."""
    found = [_shared_patients(snapshot), _split_by_slice(snapshot)]
    if not test.by_patient:
        found.append(
            "A class has a single patient in the test part. The intervals therefore resample slices, not patients: "
            "they are too narrow, and say nothing about how the model does on another patient."
        )
    counts = document["Cases"]["ByClass"]
    few = [
        f"{label} ({counts[label]['Patients']})" for label in test.labels if counts[label]["Patients"] < FEW_PATIENTS
    ]
    if few:
        found.append(
            f"Few test patients: {', '.join(few)}. One patient more or less would move these figures; look at the "
            "intervals, not at the values."
        )
    found += _comparisons(document["Attempt"])
    return [note for note in found if note]


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
        elif one and not one["TrainingKnown"]:
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
