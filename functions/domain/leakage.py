"""The data gate's rules: they find in snapshot and audit what makes a model look better than it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated

from functions.domain.audit import Acquisition, Audit, Occurrences
from functions.domain.ranges import FRACTION
from functions.domain.slices import LabelledSlice, Split
from functions.domain.snapshot import Snapshot, SplitBy
from functions.domain.verdict import DataProblem, Places, Reason, Risk

FEWEST_PATIENTS = 2  # of a class in each part: with one patient the patient is the class
TAGS_SHOWN = 3
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
    if audit.slices != len(snapshot.slices):
        counts = f"{audit.slices} slices, the snapshot {len(snapshot.slices)}"
        return [Reason(code=DataProblem.MALFORMED_AUDIT, message=f"The audit is of {counts}; start the run again.")]
    return [
        *_across(snapshot, Risk.PATIENT_ACROSS_SPLIT, "patient", lambda one: one.patient),
        *_across(snapshot, Risk.STUDY_ACROSS_SPLIT, "study", lambda one: one.study_instance_uid),
        *_across(snapshot, Risk.SERIES_ACROSS_SPLIT, "series", lambda one: one.series_instance_uid),
        *_retrained(snapshot),
        *_too_few(snapshot),
        *_unreadable(audit.unreadable, snapshot.places),
        *_pixels(audit.identical, Risk.IDENTICAL_PIXELS_ACROSS_SPLIT, "identical", snapshot.places),
        *_pixels(audit.near_identical, Risk.NEAR_IDENTICAL_PIXELS_ACROSS_SPLIT, "nearly identical", snapshot.places),
        *_predictable(audit.acquisition, limits),
    ]


def _across(snapshot: Snapshot, code: Risk, what: str, identity: Callable[[LabelledSlice], str]) -> list[Reason]:
    """Return one reason for all patients (studies, series) with slices in more than one part."""
    members: dict[str, list[LabelledSlice]] = defaultdict(list)
    for one in snapshot.slices:
        members[identity(one)].append(one)
    spread = [group for group in members.values() if len({one.split for one in group}) > 1]
    if not spread:
        return []
    # The first slice in each part, so that a person can compare two lines.
    lines = [min(one.line for one in group if one.split == part) for group in spread for part in _parts(group)]
    plural = {"study": "studies", "series": "series"}.get(what, f"{what}s")
    count = f"1 {what} has" if len(spread) == 1 else f"{len(spread)} {plural} have"
    advice = WHOLE_PATIENTS if snapshot.split_by == SplitBy.SLICE else "keep each in one part."
    message = f"{count} slices in more than one part, for example {snapshot.places.named(lines)}; {advice}"
    return [Reason(code=code, message=message)]


def _parts(group: Iterable[LabelledSlice]) -> list[Split]:
    return sorted({one.split for one in group if one.split})


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


def _too_few(snapshot: Snapshot) -> list[Reason]:
    """Return a reason for each class and part with fewer than two patients."""
    patients: dict[tuple[str, Split | None], set[str]] = defaultdict(set)
    for one in snapshot.slices:
        patients[one.label, one.split].add(one.patient)
    return [
        Reason(
            code=Risk.TOO_FEW_PATIENTS,
            message=f"The {part} part has {len(patients[label, part])} patient(s) with {label}, at least "
            f"{FEWEST_PATIENTS} are needed; label slices of more patients.",
        )
        for label in snapshot.labels
        for part in Split
        if len(patients[label, part]) < FEWEST_PATIENTS
    ]


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


def _predictable(acquisition: Acquisition, limits: AcquisitionLimits) -> list[Reason]:
    found, code = acquisition.found, Risk.CLASS_PREDICTABLE_FROM_ACQUISITION
    if found is None:
        message = (
            "There is too little data to see whether acquisition tags alone predict the class; label more patients."
        )
        return [Reason(code=code, message=message)]
    gain = found.balanced_accuracy - found.chance
    if found.p_value > limits.max_acquisition_p_value or gain < limits.min_acquisition_gain:
        return []
    figures = (
        f"{found.balanced_accuracy:.2f} (chance {found.chance:.2f}, p = {found.p_value:.3f}, by "
        f"{acquisition.unit.lower()}; most by {', '.join(acquisition.tags[:TAGS_SHOWN])})"
    )
    message = (
        f"Acquisition tags alone predict the class with a balanced accuracy of {figures}: a model could learn the "
        "scanner. Add slices of every class from each scanner and protocol."
    )
    return [Reason(code=code, message=message)]
