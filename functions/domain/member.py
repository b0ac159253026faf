"""The members of a study: its uploads, each with the part that it has in the study's read.

A member is made of its row, whatever the row's state. So the list of members needs no more than the rows' names.
"""

from __future__ import annotations

import enum
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from functions.domain.row import Row, Status
from functions.domain.series import Excluded, SeriesRule


class Part(enum.StrEnum):
    """What became of a member. Only a Read one counts."""

    READ = "Read"
    EXCLUDED = "Excluded"
    WITHDRAWN = "Withdrawn"
    FAILED = "Failed"
    REFUSED = "Refused"
    EXPIRED = "Expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One upload of a study, after its end; ``why`` is a code where it does not count."""

    upload_id: str
    part: Part
    why: str = ""
    series: str = ""
    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    content_sha256: str = ""
    received_at: str = ""
    patient_hash: str = ""
    instance_number: int | None = None
    acquisition_number: int | None = None
    position: float | None = None
    model_package: str = ""
    prediction_key: str = ""
    probabilities: Mapping[str, float] | None = None
    abstained: bool = False
    synthetic: bool = False  # its model has seen phantoms only

    @property
    def counts(self) -> bool:
        """Whether the member is read for the study."""
        return self.part == Part.READ

    @property
    def input(self) -> tuple[str, ...]:
        """What a study read takes of the member: a revision with the same inputs is the same revision."""
        return self.upload_id, self.part, self.why, self.prediction_key


def is_member(row: Row) -> bool:
    """Return whether a row is of a study: its object was read as far as its study, and it is not erased."""
    return bool(row.study_instance_uid) and row.status not in {Status.RECEIVED, Status.MARKER, Status.ERASED}


def expired(upload_id: str) -> Member:
    """Return the member of an upload without a row: it was kept as long as the stage keeps rows."""
    return Member(upload_id=upload_id, part=Part.EXPIRED, why=Part.EXPIRED)


def member_of(row: Row, rule: SeriesRule) -> Member:
    """Return the member of a terminal row. Texts that many members share are kept once."""
    part, why = _part(row, rule)
    return Member(
        upload_id=row.upload_id,
        part=part,
        why=why,
        series=sys.intern(row.series_instance_uid or ""),
        sop_instance_uid=row.sop_instance_uid or "",
        sop_class_uid=sys.intern(row.sop_class_uid or ""),
        content_sha256=row.content_sha256 or "",
        received_at=row.received_at,
        patient_hash=sys.intern(row.patient_hash or ""),
        instance_number=row.instance_number,
        acquisition_number=row.acquisition_number,
        position=row.slice_position,
        model_package=sys.intern(row.model_package or ""),
        prediction_key=row.prediction_key or "",
        probabilities={sys.intern(name): p for name, p in row.probabilities.items()} or None,
        abstained=row.abstained,
        synthetic=bool(row.synthetic),
    )


def withdrawn(member: Member) -> Member:
    """Return a member whose result is void."""
    return replace(member, part=Part.WITHDRAWN, why=Part.WITHDRAWN)


def _part(row: Row, rule: SeriesRule) -> tuple[Part, str]:
    if row.status == Status.REFUSED:
        return Part.REFUSED, row.code or ""
    if row.status == Status.FAILED:
        return Part.FAILED, row.code or ""
    excluded = rule.excludes(row)
    if excluded:
        return Part.EXCLUDED, excluded
    if row.withdrawn_at:
        return Part.WITHDRAWN, Part.WITHDRAWN
    return Part.READ, ""


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """Several uploads with one SOPInstanceUID and different bytes; ``counted`` is the upload that counts, or ""."""

    sop_instance_uid: str
    uploads: tuple[str, ...]
    counted: str


def selected(members: Sequence[Member], rule: SeriesRule) -> tuple[list[Member], list[Conflict]]:
    """Return the members after the rules on several of them, sorted by series and upload; and the conflicts.

    Of one SOPInstanceUID one upload counts: the last that was read. A series with fewer slices than the rule asks
    does not count.
    """
    by_instance: dict[str, list[Member]] = defaultdict(list)
    for one in members:
        if one.sop_instance_uid and one.part != Part.REFUSED:
            by_instance[one.sop_instance_uid].append(one)
    left_out: set[str] = set()
    conflicts = []
    for uid, several in by_instance.items():
        if len(several) == 1:
            continue
        *others, last = sorted(several, key=lambda one: (one.counts, one.received_at, one.upload_id))
        left_out |= {one.upload_id for one in others}
        if len({one.content_sha256 for one in several}) > 1:
            uploads = tuple(sorted(one.upload_id for one in several))
            conflicts.append(Conflict(sop_instance_uid=uid, uploads=uploads, counted=last.upload_id * last.counts))
    chosen = [_excluded(one, Excluded.DUPLICATE) if one.upload_id in left_out else one for one in members]
    sizes = Counter(one.series for one in chosen if one.counts)
    chosen = [
        _excluded(one, Excluded.FEW_SLICES) if one.counts and sizes[one.series] < rule.series_min_slices else one
        for one in chosen
    ]
    chosen.sort(key=lambda one: (one.series, one.upload_id))
    return chosen, sorted(conflicts, key=lambda one: one.sop_instance_uid)


def packages(members: Iterable[Member]) -> tuple[str, ...]:
    """Return the model versions that read the members that count."""
    return tuple(sorted({one.model_package for one in members if one.counts}))


def _excluded(member: Member, why: Excluded) -> Member:
    return replace(member, part=Part.EXCLUDED, why=why)
