"""Why a revision has no DICOM results."""

from __future__ import annotations

import enum

from functions.domain.errors import NoResults


class NoResultsCode(enum.StrEnum):
    """The code that the study's revision keeps; no retry changes what it says."""

    REPAIRED_IDENTITY = "RepairedIdentity"
    UNUSABLE_IDENTITY = "UnusableIdentity"
    SEVERAL_PATIENTS = "SeveralPatients"
    ROWS_GONE = "RowsGone"
    HEADER_GONE = "HeaderGone"
    HEADER_UNREADABLE = "HeaderUnreadable"
    SOP_CLASS_UNKNOWN = "SOPClassUnknown"
    WITHDRAWN = "Withdrawn"
    NO_SCORES = "NoScores"
    NO_EVIDENCE = "NoEvidence"
    NOT_MADE = "NotMade"


SENTENCES = {
    NoResultsCode.REPAIRED_IDENTITY: (
        "An object's identifiers were repaired, so the archive knows it by others; send it again with valid UIDs."
    ),
    NoResultsCode.UNUSABLE_IDENTITY: (
        "The PatientID or IssuerOfPatientID of the reference object has several values, is too long, or is in no "
        "character set that the object states, so a result could be filed under another patient; correct it and send "
        "the study again."
    ),
    NoResultsCode.SEVERAL_PATIENTS: (
        "The study's objects have different patients, so a result could be filed under the wrong one; correct them "
        "and send the study again."
    ),
    NoResultsCode.ROWS_GONE: "Rows of the study's uploads were erased or have expired.",
    NoResultsCode.HEADER_GONE: (
        "The object version that the patient's attributes are copied from was deleted; send the study again."
    ),
    NoResultsCode.HEADER_UNREADABLE: "The header of the object that the patient's attributes are in was not readable.",
    NoResultsCode.SOP_CLASS_UNKNOWN: "No results are made for objects of this SOP class.",
    NoResultsCode.WITHDRAWN: (
        "The model version that read the revision was withdrawn before its results were delivered."
    ),
    NoResultsCode.NO_SCORES: "The revision has no scores, so there is nothing to deliver.",
    NoResultsCode.NO_EVIDENCE: "The revision names no slices that its scores rest on.",
    NoResultsCode.NOT_MADE: (
        "An object could not be made; the function's log says where. Report it with that line: it has no text of the "
        "object."
    ),
}


def no_results(code: NoResultsCode) -> NoResults:
    """Return the exception of a code, with its sentence."""
    return NoResults(code, SENTENCES[code])
