"""The data gate's rules: they find in snapshot and audit what makes a model look better than it is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from functions.domain import folds
from functions.domain.audit import Audit, Confounding, Occurrences, Subject
from functions.domain.ranges import FRACTION
from functions.domain.slices import LabelledSlice, Split
from functions.domain.snapshot import Snapshot, SplitBy
from functions.domain.verdict import DataProblem, Places, Reason, Risk

FEWEST_PATIENTS = 2  # of a class in each part: with one patient the patient is the class
TAGS_SHOWN = 3
# With so many tags, of which each may separate few patients by chance, about so many more labellings do as well.
TRIES, MOST_ASKED = 8, 30
WHOLE_PATIENTS = (
    "label slices of at least three patients of each class, so that whole patients can be divided (patients that share "
    "a study or a series count as one)."
)


@dataclass(frozen=True, kw_only=True)
class AcquisitionLimits:
    """When acquisition tags count as predicting the class: significantly, and by at least this gain over chance."""

    max_acquisition_p_value: Annotated[float, FRACTION] = 0.01
    min_acquisition_gain: Annotated[float, FRACTION] = 0.1


def findings(snapshot: Snapshot, audit: Audit, limits: AcquisitionLimits) -> list[Reason]:
    """Return every reason against a run's data, none of them accepted yet."""
    labelled = sum(bool(one.label) for one in snapshot.slices)  # the others are of labelled studies, and not audited
    if audit.slices != labelled:
        counts = f"{audit.slices} slices, the snapshot {labelled}"
        return [Reason(code=DataProblem.MALFORMED_AUDIT, message=f"The audit is of {counts}; start the run again.")]
    return [
        *_across(snapshot, Risk.PATIENT_ACROSS_SPLIT, "patient", lambda one: one.patient),
        *_across(snapshot, Risk.STUDY_ACROSS_SPLIT, "study", lambda one: one.study_instance_uid),
        *_across(snapshot, Risk.SERIES_ACROSS_SPLIT, "series", lambda one: one.series_instance_uid),
        *_retrained(snapshot),
        *(folds.too_few(snapshot) if snapshot.folds else _too_few(snapshot)),
        *_unreadable(audit.unreadable, snapshot.places),
        *_pixels(audit.identical, Risk.IDENTICAL_PIXELS_ACROSS_SPLIT, "identical", snapshot.places),
        *_pixels(audit.near_identical, Risk.NEAR_IDENTICAL_PIXELS_ACROSS_SPLIT, "nearly identical", snapshot.places),
        *_two_ids(audit.same_patient, snapshot.places),
        *(reason for subject, one in audit.subjects.items() for reason in _predictable(subject, one, limits)),
        *_underpowered(snapshot, audit.subjects, limits),
    ]


def _across(snapshot: Snapshot, code: Risk, what: str, identity: Callable[[LabelledSlice], str]) -> list[Reason]:
    """Return one reason for all patients (studies, series) with slices in more than one part."""
    members: dict[str, list[LabelledSlice]] = defaultdict(list)
    for one in snapshot.slices:
        members[identity(one)].append(one)
    spread = [group for group in members.values() if len({one.part for one in group}) > 1]
    if not spread:
        return []
    # The first slice in each part, so that a person can compare two lines.
    lines = [min(one.line for one in group if one.part == part) for group in spread for part in _parts(group)]
    plural = {"study": "studies", "series": "series"}.get(what, f"{what}s")
    count = f"1 {what} has" if len(spread) == 1 else f"{len(spread)} {plural} have"
    advice = WHOLE_PATIENTS if snapshot.split_by == SplitBy.SLICE else "keep each in one part."
    message = f"{count} slices in more than one part, for example {snapshot.places.named(lines)}; {advice}"
    return [Reason(code=code, message=message)]


def _parts(group: Iterable[LabelledSlice]) -> list[str]:
    return sorted({one.part for one in group})


def _retrained(snapshot: Snapshot) -> list[Reason]:
    """Return a reason for all patients of earlier test parts that the manifest puts into another part."""
    first: dict[str, int] = {}
    for one in snapshot.slices:
        if one.retrained:
            first[one.patient] = min(one.line, first.get(one.patient, one.line))
    if not first:
        return []
    count = "1 patient was" if len(first) == 1 else f"{len(first)} patients were"
    message = (
        f"{count} in the test part of earlier runs, for example {snapshot.places.named(first.values())}; patients who "
        "were tested stay in the test part: leave split out, or give them the test part."
    )
    return [Reason(code=Risk.TESTED_PATIENT_IN_TRAINING, message=message)]


def tested_since(snapshot: Snapshot, tested: Collection[str]) -> list[Reason]:
    """Return a reason for all patients outside the test part who are ``tested`` by now and were not at the snapshot.

    Another run that began earlier may be measured on them after this run's split was made.
    """
    first: dict[str, int] = {}
    for one in snapshot.slices:
        if one.patient in tested and one.split is not Split.TEST and not one.retrained:
            first[one.patient] = min(one.line, first.get(one.patient, one.line))
    if not first:
        return []
    count = "1 patient has" if len(first) == 1 else f"{len(first)} patients have"
    advice = "start the run again"
    if snapshot.split_by is SplitBy.MANIFEST:
        advice += " with split left out, or give them the test part"
    message = (
        f"{count} been in the test part of another run since this run's snapshot was taken, for example "
        f"{snapshot.places.named(first.values())}; patients who were tested stay in the test part: {advice}."
    )
    return [Reason(code=Risk.TESTED_PATIENT_IN_TRAINING, message=message)]


def outside_test_part(snapshot: Snapshot) -> set[str]:
    """Return the patients with slices in training or validation; none where all are tested in folds."""
    return set() if snapshot.folds else {one.patient for one in snapshot.slices if one.split is not Split.TEST}


def _too_few(snapshot: Snapshot) -> list[Reason]:
    """Return one reason with each class and part that has fewer than two patients."""
    patients: dict[tuple[str, Split | None], set[str]] = defaultdict(set)
    for one in snapshot.slices:
        patients[one.label, one.split].add(one.patient)
    short = [
        f"the {part} part has {len(patients[label, part])} with {label}"
        for label in snapshot.labels
        for part in Split
        if len(patients[label, part]) < FEWEST_PATIENTS
    ]
    if not short:
        return []
    message = (
        f"There are too few patients: {', '.join(short)}. Each part needs {FEWEST_PATIENTS} of each class at least; "
        "label slices of more patients."
    )
    return [Reason(code=Risk.TOO_FEW_PATIENTS, message=message)]


def _unreadable(finding: Occurrences, places: Places) -> list[Reason]:
    if not finding.count:
        return []
    lines = places.named(line for example in finding.examples for line in example)
    message = (
        f"The pixels of {finding.count} slice(s) cannot be decoded ({lines}); export these again or leave them out."
    )
    return [Reason(code=DataProblem.UNDECODABLE_SLICE, message=message)]


def _pixels(finding: Occurrences, code: Risk, what: str, places: Places) -> list[Reason]:
    if not finding.count:
        return []
    lines = places.named(line for example in finding.examples for line in example)
    message = f"Slices in different parts show {what} pixels, {finding.count} time(s): {lines}; keep one of each."
    return [Reason(code=code, message=message)]


def _two_ids(finding: Occurrences, places: Places) -> list[Reason]:
    if not finding.count:
        return []
    lines = places.named(line for example in finding.examples for line in example)
    message = (
        f"{finding.count} pair(s) of patients in different parts look like one patient under two ids ({lines}); give "
        "both one PatientID, or keep both in one part."
    )
    return [Reason(code=Risk.SAME_PATIENT_ACROSS_SPLIT, message=message)]


_SUBJECTS = {
    Subject.ACQUISITION: (
        Risk.CLASS_PREDICTABLE_FROM_ACQUISITION,
        "Acquisition tags alone predict",
        "a model could learn the scanner. Add slices of every class from each scanner and protocol.",
    ),
    Subject.PERSON: (
        Risk.CLASS_PREDICTABLE_FROM_PERSON,
        "Age and sex alone predict",
        "a model could learn who is ill instead of what illness looks like. Add patients of every class of each sex "
        "and of all ages.",
    ),
    Subject.POSITION: (
        Risk.CLASS_PREDICTABLE_FROM_POSITION,
        "The slices' positions in the scan alone predict",
        "a model could learn the level of the chest. Label slices of every class at the same levels.",
    ),
    Subject.BACKGROUND: (
        Risk.CLASS_PREDICTABLE_FROM_BACKGROUND,
        "What surrounds the body in the picture alone predicts",
        "a model could learn table, mask or crop. Export the slices of every class in the same way.",
    ),
}


def _predictable(subject: Subject, confounding: Confounding, limits: AcquisitionLimits) -> list[Reason]:
    found = confounding.found
    code, says, because = _SUBJECTS[subject]
    if found is None:
        if subject != Subject.ACQUISITION:  # the same data were too little for each subject: one reason says so
            return []
        message = (
            "There is too little data to see whether acquisition tags alone predict the class; label more patients."
        )
        return [Reason(code=code, message=message)]
    gain = found.balanced_accuracy - found.chance
    if found.p_value > limits.max_acquisition_p_value or gain < limits.min_acquisition_gain:
        return []
    figures = (
        f"{found.balanced_accuracy:.2f} (chance {found.chance:.2f}, p = {found.p_value:.3f}, by "
        f"{confounding.unit.lower()}; most by {', '.join(confounding.tags[:TAGS_SHOWN])})"
    )
    message = f"{says} the class with a balanced accuracy of {figures}: {because}"
    return [Reason(code=code, message=message)]


def _underpowered(
    snapshot: Snapshot, subjects: Mapping[Subject, Confounding], limits: AcquisitionLimits
) -> list[Reason]:
    """Return a reason if the audit could not have refused a cohort of this size, whatever is wrong with it."""
    attainable = [one.found.attainable for one in subjects.values() if one.found and one.found.attainable is not None]
    lowest = limits.max_acquisition_p_value
    blind = [one for one in attainable if one > lowest]
    if not blind:
        return []
    patients = {label: {one.patient for one in snapshot.slices if one.label == label} for label in snapshot.labels}
    fewest = min(patients, key=lambda label: len(patients[label]))
    message = (
        f"With {len(patients[fewest])} patient(s) with {fewest} the audit cannot see whether scanner, person, position "
        f"or background predict the class: even what separates the classes completely would have p = {max(blind):.2f}, "
        f"and {lowest:g} is needed. {_enough(len(snapshot.labels), lowest)} patients of each class are enough."
    )
    return [Reason(code=Risk.AUDIT_UNDERPOWERED, message=message)]


def _enough(classes: int, p_value: float) -> int:
    """Return how many patients of each class let a complete separation have this p-value.

    Of all ways to give the labels to the patients, those separate completely that only rename the classes.
    """
    for patients in range(2, MOST_ASKED):
        labellings = math.factorial(classes * patients) // math.factorial(patients) ** classes
        if TRIES * math.factorial(classes) <= p_value * labellings:
            return patients
    return MOST_ASKED
