"""The study/1 document: the answer for one revision of a study, with the slices that it rests on.

It has UIDs, codes and numbers, and no text of an object. Every list has a bound; `Omitted` counts what is left out.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aggregation.rule import Rule
from aggregation.study import Evidence, SeriesRead, StudyRead
from functions.domain.marker import Marker
from functions.domain.member import Conflict, Member, Part, packages
from functions.domain.series import SeriesRule
from functions.domain.study import CloseReason, Revision, Study

SCHEMA = "study/1"
MOST_MEMBERS = 20_000
MOST_ANSWERS = 400_000  # numbers of all members: twenty classes of the most members, or more classes of fewer
MOST_BYTES = 16 * 1024**2  # of a document; tests/functions/domain/test_study_document.py makes the longest
MOST_SERIES = 500  # that are listed
MOST_SCORES = 1500  # of classes in series that are listed, each with its evidence: a model may have many classes
MOST_LISTED = 100  # conflicts, gaps, and series that lack something
MOST_NUMBERS = 20  # of a gap
OVERFULL = "Overfull"


class StudyCode(enum.StrEnum):
    """Why a study read has no class."""

    NOTHING_READ = "NothingRead"
    WITHDRAWN = "Withdrawn"
    ABSTAINED = "Abstained"
    MIXED_MODELS = "MixedModels"
    TOO_MANY_MEMBERS = "TooManyMembers"
    NO_CLASS = "NoClass"


class StudyCaution(enum.StrEnum):
    """What a reader of a study read must know; `aggregation.study.Caution` has more."""

    FORCED = "Forced"
    GAPS = "Gaps"
    MISSING = "Missing"
    CONFLICTS = "Conflicts"
    SEVERAL_PATIENTS = "SeveralPatients"
    SYNTHETIC = "Synthetic"


class Coverage(enum.StrEnum):
    """Whether the study is whole: as its sender said, or by its numbers."""

    COMPLETE = "Complete"
    GAPS = "Gaps"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a study read is made of. ``marker`` is None if no sender has said what the study has.

    ``overfull`` is whether the study has more members than are read.
    """

    members: Sequence[Member]
    conflicts: Sequence[Conflict] = ()
    marker: Marker | None = None
    rule: Rule
    series_rule: SeriesRule
    overfull: bool = False

    @property
    def mixed(self) -> bool:
        """Whether several model versions read the members that count."""
        return len(packages(self.members)) > 1

    @property
    def withdrawn(self) -> bool:
        """Whether the result of a member is withdrawn, and it was not read again: the others are not the study."""
        return any(one.part == Part.WITHDRAWN for one in self.members)

    @property
    def readable(self) -> bool:
        """Whether an answer may be made of the members."""
        return not (self.overfull or self.mixed or self.withdrawn)

    def digest(self) -> str:
        """Return the identity of the inputs: a revision with the same ones is not made again."""
        digest = hashlib.sha256()
        # Not the marker itself: another sender's, or a person's, may say the same in other words.
        marker = json.dumps(self.marker.missing(self.members)) if self.marker else ""
        settings = [self.rule.dumps(), *self.series_rule.series_exclude, self.series_rule.series_min_slices]
        more = [OVERFULL] if self.overfull else []  # the members alone do not say so
        for one in (*(member.input for member in self.members), settings, marker, *more):
            digest.update(json.dumps(one).encode() + b"\n")
        return digest.hexdigest()[:40]


@dataclass(frozen=True, kw_only=True)
class Closed:
    """A closing: when, why, and what came before it. ``model`` is what is known of the version that read the study.

    ``previous`` is the last revision's document, {} if there is none. ``withdrawn_at`` is when the version that gave
    its answer was withdrawn, "" if it was not.
    """

    study: Study
    closed_at: str
    reason: CloseReason
    model: Mapping[str, str] = field(default_factory=dict)
    previous: Mapping[str, Any] = field(default_factory=dict)
    withdrawn_at: str = ""

    @property
    def revision(self) -> int:
        """The number of the revision that the closing makes."""
        return self.study.revision + 1


def document(closed: Closed, inputs: Inputs, read: StudyRead | None) -> dict[str, Any]:
    """Return the study/1 document; ``read`` is None where no answer may be made of the members."""
    members = inputs.members
    gaps = _gaps(members)
    missing = inputs.marker.missing(members) if inputs.marker else []
    omitted: Counter[str] = Counter()
    code = _code(inputs, read)
    content: dict[str, Any] = {
        "Schema": SCHEMA,
        "StudyInstanceUID": closed.study.study_instance_uid,
        "Revision": closed.revision,
        "Previous": closed.study.result_key or None,
        "ClosedAt": closed.closed_at,
        "CloseReason": closed.reason,
        "Coverage": _coverage(inputs, missing, gaps),
        "Code": code,
        "Class": read.predicted_class if read and not code else None,
        "Scores": dict(read.scores) if read else {},
        "Counts": counts(members),
        "Model": dict(closed.model) or None,
        "Models": list(packages(members)) if inputs.mixed else None,
        "Aggregation": inputs.rule.described(read.scores if read else ()),
        "Evidence": _evidence(read.evidence, members) if read else {},
        "Series": _series(inputs, read, omitted),
        "Conflicts": _bounded("Conflicts", _conflicts(inputs.conflicts), MOST_LISTED, omitted),
        "Gaps": _bounded("Gaps", gaps, MOST_LISTED, omitted),
        "Missing": _bounded("Missing", missing, MOST_LISTED, omitted),
        "Cautions": _cautions(closed, inputs, read, gaps, missing),
        "Withdraws": _withdraws(closed),
        "Changes": _changes(closed.previous, members, closed.model) if closed.previous else None,
        "Uploads": _uploads(members),
        "Inputs": inputs.digest(),
    }
    return content | ({"Omitted": dict(omitted)} if omitted else {})


def digest(content: Mapping[str, Any]) -> str:
    """Return the identity of a document: all of it but the time."""
    timeless = {name: value for name, value in content.items() if name != "ClosedAt"}
    return hashlib.sha256(json.dumps(timeless, sort_keys=True).encode()).hexdigest()[:40]


def revision_of(content: Mapping[str, Any], result_key: str, fhir_key: str = "") -> Revision:
    """Return what the table keeps of a document, and where its FHIR bundle is."""
    return Revision(
        study_instance_uid=content["StudyInstanceUID"],
        number=content["Revision"],
        created_at=content["ClosedAt"],
        close_reason=CloseReason(content["CloseReason"]),
        coverage=content["Coverage"],
        code=content["Code"] or "",
        model_package=(content["Model"] or {}).get("Package", ""),
        predicted_class=content["Class"],
        scores=content["Scores"],
        counts=content["Counts"],
        inputs=content["Inputs"],
        result_key=result_key,
        fhir_key=fhir_key,
        withdraws=(content.get("Withdraws") or {}).get("Revision", 0),
    )


def counts(members: Iterable[Member]) -> dict[str, int]:
    """Return how many members there are, of each part, and how many of those read were abstained on."""
    parts = Counter(one.part.value for one in members)
    abstained = sum(one.counts and one.abstained for one in members)
    found = {"Members": sum(parts.values()), **{part.value: parts[part] for part in Part}, "Abstained": abstained}
    return {name: number for name, number in found.items() if number or name in {"Members", Part.READ}}


def _code(inputs: Inputs, read: StudyRead | None) -> StudyCode | None:
    if inputs.overfull:
        return StudyCode.TOO_MANY_MEMBERS
    if inputs.mixed:
        return StudyCode.MIXED_MODELS
    if inputs.withdrawn:
        return StudyCode.WITHDRAWN
    if read is None or not any(one.counts for one in inputs.members):
        return StudyCode.NOTHING_READ
    if read.abstained:
        return StudyCode.ABSTAINED
    return None if read.predicted_class else StudyCode.NO_CLASS


def _withdraws(closed: Closed) -> dict[str, Any] | None:
    """Return the revision whose answer this one recalls: the last, if its version was withdrawn since."""
    if not closed.withdrawn_at:
        return None
    return {
        "Revision": closed.study.revision,
        "ResultKey": closed.study.result_key,
        "Package": closed.previous["Model"]["Package"],
        "WithdrawnAt": closed.withdrawn_at,
    }


def _coverage(inputs: Inputs, missing: Sequence[Any], gaps: Sequence[Any]) -> Coverage:
    if inputs.marker:
        return Coverage.GAPS if missing else Coverage.COMPLETE
    return Coverage.GAPS if gaps else Coverage.UNKNOWN


def _cautions(
    closed: Closed, inputs: Inputs, read: StudyRead | None, gaps: Sequence[Any], missing: Sequence[Any]
) -> list[str]:
    patients = {one.patient_hash for one in inputs.members if one.counts and one.patient_hash}
    applies = {
        StudyCaution.FORCED: closed.reason == CloseReason.FORCED,
        StudyCaution.GAPS: bool(gaps),
        StudyCaution.MISSING: bool(missing),
        StudyCaution.CONFLICTS: bool(inputs.conflicts),
        StudyCaution.SEVERAL_PATIENTS: len(patients) > 1,
        StudyCaution.SYNTHETIC: any(one.counts and one.synthetic for one in inputs.members),
    }
    return [*(one for one, is_so in applies.items() if is_so), *(read.cautions if read else ())]


def _series(inputs: Inputs, read: StudyRead | None, omitted: Counter[str]) -> list[dict[str, Any]]:
    """Return what is listed of each series; count what is left out: series, and series without their scores."""
    answers = {one.series: one for one in read.series} if read else {}
    by_series: dict[str, list[Member]] = defaultdict(list)
    for one in inputs.members:
        by_series[one.series].append(one)
    listed, scores = [], 0
    for uid, members in _bounded("Series", sorted(by_series.items()), MOST_SERIES, omitted):
        answer = answers.get(uid)
        entry = _one_series(uid, members, answer)
        if answer:
            scores += len(answer.scores)
            if scores <= MOST_SCORES:
                entry |= {"Scores": dict(answer.scores), "Evidence": _evidence(answer.evidence, members)}
            else:
                omitted["ScoresOfSeries"] += 1
        listed.append(entry)
    return listed


def _one_series(uid: str, members: Sequence[Member], answer: SeriesRead | None) -> dict[str, Any]:
    why = Counter(one.why for one in members if one.why)
    entry: dict[str, Any] = {
        "SeriesInstanceUID": uid or None,
        "Included": answer is not None,
        "Counts": counts(members),
        "Why": dict(sorted(why.items())),
    }
    return entry | ({"Abstained": True} if answer and answer.abstained else {})


def _evidence(found: Mapping[str, Sequence[Evidence]], members: Iterable[Member]) -> dict[str, list[dict[str, Any]]]:
    wanted = {one.upload_id for several in found.values() for one in several}
    by_id = {one.upload_id: one for one in members if one.upload_id in wanted}
    return {name: [_slice(one, by_id[one.upload_id]) for one in several] for name, several in found.items()}


def _slice(evidence: Evidence, member: Member) -> dict[str, Any]:
    return {
        "UploadId": member.upload_id,
        "SeriesInstanceUID": member.series,
        "SOPInstanceUID": member.sop_instance_uid,
        "SOPClassUID": member.sop_class_uid,
        "InstanceNumber": member.instance_number,
        "Position": member.position,
        "Probability": evidence.probability,
        "PredictionKey": member.prediction_key,
    }


def _conflicts(conflicts: Iterable[Conflict]) -> list[dict[str, Any]]:
    return [
        {"SOPInstanceUID": one.sop_instance_uid, "Uploads": list(one.uploads[:MOST_LISTED]), "Counted": one.counted}
        for one in conflicts
    ]


def _gaps(members: Iterable[Member]) -> list[dict[str, Any]]:
    """Return the numbers that a series' acquisitions lack between their first and their last."""
    numbers: dict[tuple[str, int], set[int]] = defaultdict(set)
    for one in members:
        if one.series and one.instance_number is not None:
            numbers[one.series, one.acquisition_number or 0].add(one.instance_number)
    found = []
    for (series, acquisition), seen in sorted(numbers.items()):
        missing = max(seen) - min(seen) + 1 - len(seen)
        if missing:
            lacking = (number for number in range(min(seen), max(seen)) if number not in seen)
            named = [number for number, _ in zip(lacking, range(MOST_NUMBERS), strict=False)]
            entry = {"SeriesInstanceUID": series, "AcquisitionNumber": acquisition or None, "Missing": missing}
            found.append(entry | {"InstanceNumbers": named})
    return found


def _uploads(members: Iterable[Member]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for one in members:
        found[one.part.value].append(one.upload_id)
    return dict(found)


def _changes(previous: Mapping[str, Any], members: Sequence[Member], model: Mapping[str, str]) -> dict[str, Any]:
    """Return what has changed since the last revision's document: uploads, and the model."""
    before = {upload: part for part, uploads in previous["Uploads"].items() for upload in uploads}
    now = {one.upload_id: one.part.value for one in members}
    changes: dict[str, Any] = {
        "Added": sorted(now.keys() - before.keys()),
        "Removed": sorted(before.keys() - now.keys()),
        "Withdrawn": sorted(one for one, part in now.items() if part == Part.WITHDRAWN and before.get(one) != part),
        "Read": sorted(one for one in now.keys() & before.keys() if now[one] == Part.READ and before[one] != Part.READ),
    }
    was, is_now = (previous["Model"] or {}).get("Package"), model.get("Package")
    if was and is_now and was != is_now:
        changes["ModelChanged"] = {"From": was, "To": is_now}
    return {name: value for name, value in changes.items() if value}


def _bounded(name: str, entries: list[Any], most: int, omitted: Counter[str]) -> list[Any]:
    if len(entries) > most:
        omitted[name] = len(entries) - most
    return entries[:most]
