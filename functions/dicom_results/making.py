"""From a study read to the bytes of its DICOM results."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from highdicom.base import SOPClass
from pydicom.dataset import Dataset

from functions.aws.trouble import loggable
from functions.dicom_results.card import card
from functions.dicom_results.heat import Heated, heat_picture
from functions.dicom_results.instances import Subject
from functions.dicom_results.notes import key_note, rejection_note
from functions.dicom_results.quiet import quietly
from functions.dicom_results.reference import speaking
from functions.dicom_results.refused import NoResultsCode, no_results
from functions.dicom_results.report import PROCEDURES, report
from functions.dicom_results.slice_pixels import grey, header_of_slice
from functions.dicom_results.stage import REJECTION, Kind, name_of_picture
from functions.dicom_results.unpictured import NoPictureCode
from functions.domain.errors import NoPicture, NoResults

logger = logging.getLogger(__name__)

_MAKERS: Mapping[Kind, Callable[[Subject], SOPClass]] = {Kind.SR: report, Kind.CARD: card, Kind.KEYS: key_note}


@dataclass(frozen=True)
class Result:
    """One DICOM object: its kind (with a number where there are several), its UIDs, and its file's bytes."""

    kind: str
    series_uid: str
    sop_uid: str
    body: bytes


def results_of(subject: Subject, kinds: Sequence[Kind]) -> list[Result]:
    """Return the results of a study read, of these kinds in their order, without heat pictures (`picture_of`).

    Raise NoResults where there is nothing to say, or where an object cannot be made; its text has no value of a header.
    """
    read = subject.read
    if not read.of_study:
        raise no_results(NoResultsCode.NO_SCORES)
    if not all(one.evidence for one in read.findings):
        raise no_results(NoResultsCode.NO_EVIDENCE)
    if not PROCEDURES.keys() >= {one.sop_class_uid for one in read.members}:
        raise no_results(NoResultsCode.SOP_CLASS_UNKNOWN)
    return [_result(subject, kind, make) for kind, make in _MAKERS.items() if kind in kinds]


def picture_of(subject: Subject, shown: Heated, body: bytes, strength: float) -> Result:
    """Return the heat picture of a slice with these bytes; raise NoPicture if there is none."""
    header = header_of_slice(body)
    if header.uid("SOPInstanceUID") != shown.slice.sop_uid:
        raise NoPicture(NoPictureCode.OTHER_BYTES)
    pixels, burned_in = grey(header, shown.over), header.code("BurnedInAnnotation")
    try:
        return _result(
            subject,
            name_of_picture(shown.place),
            lambda one: heat_picture(one, shown, pixels, strength, burned_in),
        )
    except NoResults:
        raise NoPicture(NoPictureCode.NOT_DRAWN) from None


def withdrawal_of(subject: Subject, delivered: Mapping[str, Sequence[int]]) -> Result:
    """Return the note that rejects delivered results: revisions by name."""
    chosen = {name: tuple(revisions) for name, revisions in delivered.items()}
    return _result(subject, REJECTION, lambda one: rejection_note(one, chosen))


def _result(subject: Subject, kind: str, make: Callable[[Subject], SOPClass]) -> Result:
    read = subject.read
    own = [read.model.name, read.model.version, *(one.label for one in read.findings)]
    subject = replace(subject, reference=speaking(subject.reference, own))
    failed: dict[str, object] = {}
    try:
        with quietly():
            made = make(subject)
            return Result(kind, str(made.SeriesInstanceUID), str(made.SOPInstanceUID), _bytes_of(made))
    except Exception as error:
        failed = loggable(error)
    logger.error("a DICOM result was not made", extra={"kind": kind, **failed})
    # Raised outside of `except`, so that __context__ does not carry the original text.
    raise no_results(NoResultsCode.NOT_MADE)


def _bytes_of(made: Dataset) -> bytes:
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
