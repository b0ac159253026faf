"""Draws the heat pictures of a study's revision: from the slices that its class rests on, and their results.

Each slice has a picture or a code that says why not. Trouble with AWS is raised, so that the revision is tried again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.aws.objects import Documents
from functions.dicom_results.heat import MOST_PICTURES, Heated, heat_of, strength_of
from functions.dicom_results.instances import Subject
from functions.dicom_results.making import Result, picture_of
from functions.dicom_results.slice_pixels import MOST_BYTES
from functions.dicom_results.stage import Kind, name_of_picture
from functions.dicom_results.study import Slice, StudyRead
from functions.dicom_results.unpictured import NoPictureCode
from functions.domain import grid
from functions.domain.errors import NoPicture, Refusal
from functions.domain.row import Row
from functions.flow.originals import Originals


@dataclass(frozen=True)
class Pictures:
    """The pictures of a revision one after the other, and why others were not drawn: codes by name.

    ``undrawn`` is complete when all pictures were taken.
    """

    drawn: Iterator[Result]
    undrawn: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Picturing:
    """Draws pictures for one stage."""

    results: Documents
    originals: Originals

    def pictures(self, subject: Subject, rows: Mapping[str, Row]) -> Pictures:
        """Return the pictures of a revision; ``rows`` are those of the uploads that count."""
        undrawn: dict[str, str] = {}
        return Pictures(self._drawn(subject, {row.sop_instance_uid: row for row in rows.values()}, undrawn), undrawn)

    def _drawn(self, subject: Subject, rows: Mapping[str | None, Row], undrawn: dict[str, str]) -> Iterator[Result]:
        """Yield pictures; add to ``undrawn`` what there is none of."""
        read = subject.read
        heated: list[Heated] = []
        for place, one in enumerate(read.class_slices[:MOST_PICTURES], 1):
            try:
                heated.append(self._heated(read, place, one, rows[one.sop_uid]))
            except NoPicture as refused:
                undrawn[name_of_picture(place)] = refused.code
        if not read.class_slices:
            undrawn[Kind.HEAT] = NoPictureCode.NO_FINDING
        strength = strength_of([one.heat for one in heated])
        for shown in heated:
            try:
                yield picture_of(subject, shown, self._body(rows[shown.slice.sop_uid]), strength)
            except NoPicture as refused:
                undrawn[name_of_picture(shown.place)] = refused.code

    def _heated(self, read: StudyRead, place: int, one: Slice, row: Row) -> Heated:
        """Return a slice with the heat in its result; raise NoPicture where the result has none."""
        body = self.results.find(row.prediction_key) if row.prediction_key else None
        document: dict[str, Any] = json.loads(body) if body else {}
        if document and document["ModelPackage"] != read.model.package:  # the row has another answer by now
            raise NoPicture(NoPictureCode.READ_AGAIN)
        labels, label = list(document.get("Probabilities", {})), read.predicted or ""
        try:
            found = grid.parse(document["Grid"], len(labels))
        except (KeyError, TypeError, ValueError):
            raise NoPicture(NoPictureCode.NO_GRID) from None
        if found.over is None:  # an older container did not say what it lies over
            raise NoPicture(NoPictureCode.NO_GRID)
        heat = heat_of(found, labels, label, read.reference_label)
        return Heated(slice=one, place=place, label=label, heat=heat, over=found.over)

    def _body(self, row: Row) -> bytes:
        """Return the bytes that the model has read; raise NoPicture if they are not there any more."""
        if row.size > MOST_BYTES:
            raise NoPicture(NoPictureCode.TOO_LARGE)
        try:
            body = self.originals.start(row, MOST_BYTES)
        except Refusal:
            raise NoPicture(NoPictureCode.SLICE_GONE) from None
        if hashlib.sha256(body).hexdigest() != row.content_sha256:
            raise NoPicture(NoPictureCode.OTHER_BYTES)
        return body
