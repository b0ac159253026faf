"""The data gate's rules: what would let a model look better than it is, found in the snapshot and in its audit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated

from functions.domain.audit import Acquisition, Audit, Finding
from functions.domain.ranges import FRACTION
from functions.domain.snapshot import PinnedSlice, Snapshot, Split, SplitBy
from functions.domain.verdict import DataProblem, Reason, Risk, lines_of

FEWEST_PATIENTS = 2  # of a class in each part: with one patient the patient is the class
TAGS_SHOWN = 3
WHOLE_PATIENTS = "label slices of at least three patients of each class, so that whole patients can be divided."


@dataclass(frozen=True, kw_only=True)
class AcquisitionLimits:
    """When tags of scanner and protocol are taken to give the class away: significant, and by so much over chance."""

    max_acquisition_p_value: Annotated[float, FRACTION] = 0.01
    min_acquisition_gain: Annotated[float, FRACTION] = 0.1


def findings(snapshot: Snapshot, audit: Audit, limits: AcquisitionLimits) -> list[Reason]:
    """Everything that is wrong with a run's data, nothing of it accepted yet."""
    if audit.slices != len(snapshot.slices):
        counts = f"{audit.slices} slices, the snapshot {len(snapshot.slices)}"
        return [Reason(code=DataProblem.MALFORMED_AUDIT, message=f"The audit is of {counts}; start the run again.")]
    return [
        *_across(snapshot, Risk.PATIENT_ACROSS_SPLIT, "patient", lambda one: one.patient),
        *_across(snapshot, Risk.STUDY_ACROSS_SPLIT, "study", lambda one: one.study_instance_uid),
        *_across(snapshot, Risk.SERIES_ACROSS_SPLIT, "series", lambda one: one.series_instance_uid),
        *_too_few(snapshot),
        *_unreadable(audit.unreadable),
        *_pixels(audit.identical, Risk.IDENTICAL_PIXELS_ACROSS_SPLIT, "identical"),
        *_pixels(audit.near_identical, Risk.NEAR_IDENTICAL_PIXELS_ACROSS_SPLIT, "nearly identical"),
        *_predictable(audit.acquisition, limits),
    ]


def _across(snapshot: Snapshot, code: Risk, what: str, identity: Callable[[PinnedSlice], str]) -> list[Reason]:
    """One reason for all the patients (studies, series) that have slices in more than one part."""
    members: dict[str, list[PinnedSlice]] = defaultdict(list)
    for one in snapshot.slices:
        members[identity(one)].append(one)
    spread = [group for group in members.values() if len({one.split for one in group}) > 1]
    if not spread:
        return []
    # Of each, the first slice of each part: two lines that a person can lay side by side.
    lines = [min(one.line for one in group if one.split == part) for group in spread for part in _parts(group)]
    plural = {"study": "studies", "series": "series"}.get(what, f"{what}s")
    count = f"1 {what} has" if len(spread) == 1 else f"{len(spread)} {plural} have"
    advice = WHOLE_PATIENTS if snapshot.split_by == SplitBy.SLICE else "keep each in one part."
    message = f"{count} slices in more than one part, for example {lines_of(lines)}; {advice}"
    return [Reason(code=code, message=message)]


def _parts(group: Iterable[PinnedSlice]) -> list[Split]:
    return sorted({one.split for one in group})


def _too_few(snapshot: Snapshot) -> list[Reason]:
    """A reason for each class and part with fewer than two patients."""
    patients: dict[tuple[str, Split], set[str]] = defaultdict(set)
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


def _unreadable(finding: Finding) -> list[Reason]:
    if not finding.count:
        return []
    lines = lines_of(line for example in finding.examples for line in example)
    message = (
        f"The pixels of {finding.count} slice(s) cannot be decoded ({lines}); export these again or leave them out."
    )
    return [Reason(code=DataProblem.UNDECODABLE_SLICE, message=message)]


def _pixels(finding: Finding, code: Risk, what: str) -> list[Reason]:
    if not finding.count:
        return []
    lines = lines_of(line for example in finding.examples for line in example)
    message = f"Slices in different parts show {what} pixels, {finding.count} time(s): {lines}; keep one of each."
    return [Reason(code=code, message=message)]


def _predictable(acquisition: Acquisition, limits: AcquisitionLimits) -> list[Reason]:
    found, code = acquisition.found, Risk.CLASS_PREDICTABLE_FROM_ACQUISITION
    if found is None:
        message = "There is too little data to see whether acquisition tags alone tell the class; label more patients."
        return [Reason(code=code, message=message)]
    gain = found.balanced_accuracy - found.chance
    if found.p_value > limits.max_acquisition_p_value or gain < limits.min_acquisition_gain:
        return []
    figures = (
        f"{found.balanced_accuracy:.2f} (chance {found.chance:.2f}, p = {found.p_value:.3f}, by "
        f"{acquisition.unit.lower()}; most by {', '.join(acquisition.tags[:TAGS_SHOWN])})"
    )
    message = (
        f"Acquisition tags alone tell the class with a balanced accuracy of {figures}: a model could learn the "
        "scanner. Add slices of every class from each scanner and protocol."
    )
    return [Reason(code=code, message=message)]
