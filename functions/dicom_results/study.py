"""What is delivered of a study read: its scores, the slices that they rest on, and every slice that was read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One object that was read, by what references to it need; ``number`` is its InstanceNumber, if it has one."""

    series_uid: str
    sop_uid: str
    sop_class_uid: str
    rows: int
    columns: int
    number: int | None = None


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series that counts; ``number`` is its SeriesNumber, by which archives list it, None if it is not known."""

    uid: str
    number: int | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The score (0 to 1) of one class in the study or, with ``series_uid``, in one series, and what it rests on."""

    label: str
    score: float
    evidence: tuple[Slice, ...]
    series_uid: str = ""


@dataclass(frozen=True, kw_only=True)
class Model:
    """The model version that read the study. ``package`` identifies it, ``form`` is what computed its network."""

    name: str
    version: str
    package: str
    weights_sha256: str
    form: str


@dataclass(frozen=True, kw_only=True)
class StudyRead:
    """One revision of a study read.

    ``predicted`` is None where the model gave no class. ``predecessor`` is the last revision before this one whose
    results were delivered. ``cautions`` are codes.
    """

    study_uid: str
    revision: int
    predecessor: int | None
    closed_at: datetime
    forced: bool
    model: Model
    aggregation: str
    predicted: str | None
    reference_label: str
    findings: tuple[Finding, ...]
    series: tuple[Series, ...]
    members: tuple[Slice, ...]
    cautions: tuple[str, ...]

    @property
    def of_study(self) -> tuple[Finding, ...]:
        """The findings of the whole study, one for each class."""
        return tuple(one for one in self.findings if not one.series_uid)

    @property
    def evidence(self) -> tuple[Slice, ...]:
        """The slices that any score rests on, each once."""
        return _once(slice_ for one in self.findings for slice_ in one.evidence)

    @property
    def key_slices(self) -> tuple[Slice, ...]:
        """The slices that the study's class rests on; for the reference class and for none, those of the study."""
        return self.class_slices or _once(slice_ for one in self.of_study for slice_ in one.evidence)

    @property
    def class_slices(self) -> tuple[Slice, ...]:
        """The slices that the study's class rests on; none for the reference class, and without a class."""
        chosen = [one for one in self.of_study if one.label == self.predicted and one.label != self.reference_label]
        return _once(slice_ for one in chosen for slice_ in one.evidence)

    def name_of(self, series_uid: str) -> str:
        """Return what texts call a series: by its SeriesNumber or, without one, by its place among these."""
        place, series = next((place, one) for place, one in enumerate(self.series, 1) if one.uid == series_uid)
        return f"series {series.number}" if series.number is not None else f"unnumbered series {place}"

    def in_order(self, slices: Iterable[Slice]) -> list[Slice]:
        """Return slices by series and InstanceNumber; slices without a number come last in their series."""
        places = {one.uid: place for place, one in enumerate(self.series)}
        return sorted(
            slices, key=lambda one: (places[one.series_uid], one.number is None, one.number or 0, one.sop_uid)
        )


def _once(slices: Iterable[Slice]) -> tuple[Slice, ...]:
    return tuple({one.sop_uid: one for one in slices}.values())
