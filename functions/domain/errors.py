"""The exceptions of the functions, and the codes that a person finds on a row.

Exception
├── WetreadError                its message is a sentence without PHI
│   ├── Refusal                 an upload that is refused for good: a code and a sentence
│   ├── HeaderIncomplete        the bytes read so far end before the pixel data: read more
│   ├── MalformedEvent          an event that is not what its source documents
│   ├── MalformedPrediction     an output that is not prediction/2, or answers for other bytes
│   ├── MalformedDocument       a document of a batch or a run that breaks its schema, is too long, or of another run
│   ├── MalformedManifest       labels that cannot be read as a whole
│   ├── MalformedEntry          one entry of labels that cannot be read
│   ├── InvalidRequest          an execution input that cannot be run
│   ├── SnapshotRefused         labels, or labelled objects, that no snapshot is taken of
│   ├── InvalidArtifact         a file that is not a model artifact
│   ├── CodeInWeights           a model.pth that would run code when it is loaded
│   ├── PromotionRefused        a version that cannot become champion
│   ├── ArtifactChanged         a champion whose artifact is not the promoted one
│   ├── ModelChanged            a champion whose SageMaker Model is gone, or another one
│   ├── NotAnnounced            events of a study that EventBridge did not take: the next sweep tries again
│   ├── Overtaken               a champion that changed between two reads: try again
│   ├── NoResults               a revision of a study that gets no DICOM results: a code and a sentence
│   ├── NoPicture               a slice of such a study that gets no heat picture: a code
│   └── HandlerFailed           any other error of a function, without its text
└── SettingsError               a function's environment that lacks settings (settings.py, which infra imports too)
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import TYPE_CHECKING

from functions.domain.verdict import LabelProblem, Reason

if TYPE_CHECKING:
    from untrusted.header import Header


class RefusalCode(enum.StrEnum):
    """Why an upload is refused. No retry changes that, except for HeldUp: its message may be redriven."""

    NOT_DICOM = "NotDicom"
    EMPTY = "Empty"
    TOO_LARGE = "TooLarge"
    OBJECT_GONE = "ObjectGone"
    ARCHIVED = "Archived"
    CUSTOMER_KEY = "CustomerKey"
    FOREIGN_KEY = "ForeignKey"
    INGEST_FAILED = "IngestFailed"
    HELD_UP = "HeldUp"
    TRUNCATED_HEADER = "TruncatedHeader"
    UNREADABLE_HEADER = "UnreadableHeader"
    HEADER_TOO_LONG = "HeaderTooLong"
    NO_PIXEL_DATA = "NoPixelData"
    MISSING_UID = "MissingUID"
    MISSING_GEOMETRY = "MissingGeometry"
    NON_CONFORMANT = "NonConformant"
    SOP_CLASS_NOT_SERVED = "SOPClassNotServed"
    MODALITY_NOT_SERVED = "ModalityNotServed"
    TRANSFER_SYNTAX_NOT_SERVED = "TransferSyntaxNotServed"
    MULTI_FRAME_NOT_SERVED = "MultiFrameNotServed"
    LOCALIZER_NOT_SERVED = "LocalizerNotServed"
    PLANE_NOT_SERVED = "PlaneNotServed"
    DERIVED_NOT_SERVED = "DerivedNotServed"
    SCREEN_SAVE_NOT_SERVED = "ScreenSaveNotServed"
    NOT_HOUNSFIELD = "NotHounsfield"
    TOO_FEW_PIXELS = "TooFewPixels"
    MALFORMED_MARKER = "MalformedMarker"


class FailureCode(enum.StrEnum):
    """Why an accepted upload has no result; the container's error codes are others."""

    JOB_FAILED = "JobFailed"
    NO_OUTPUT = "NoOutput"
    OUTPUT_MISMATCH = "OutputMismatch"
    MALFORMED_PREDICTION = "MalformedPrediction"
    NOT_COLLECTED = "NotCollected"


class WetreadError(Exception):
    """Base of the errors that the functions raise."""


class Refusal(WetreadError):
    """An upload is refused: ``code`` is for programs, ``reason`` (a sentence, without PHI) for people.

    ``header`` is the part of the object's header that was read; None if nothing was.
    """

    header: Header | None = None

    def __init__(self, code: RefusalCode, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class HeaderIncomplete(WetreadError):
    """The bytes end before the pixel data begins, and the object has more; ``header`` as in a Refusal."""

    header: Header | None = None


class MalformedEvent(WetreadError):
    """An event lacks a field that its source documents; the message names the field."""


class MalformedPrediction(WetreadError):
    """An output is not a prediction/2 document, or answers for other bytes than the row's."""

    def __init__(self, code: FailureCode, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class MalformedDocument(WetreadError):
    """A document of a batch or a run is too long, breaks its schema, or is another run's; the message says which."""


class MalformedManifest(WetreadError):
    """Labels cannot be read as a whole; the message says where, and what to do."""


class MalformedEntry(WetreadError):
    """One entry of labels cannot be read; the message follows "Line 7: "."""


class InvalidRequest(WetreadError):
    """An execution input cannot be run; ``reasons`` name everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.reasons = tuple(Reason(code=LabelProblem.INVALID_INPUT, message=problem) for problem in problems)


class SnapshotRefused(WetreadError):
    """No snapshot can be taken; ``reasons`` name everything that is wrong, in the manifest's order."""

    def __init__(self, reasons: Iterable[Reason]) -> None:
        super().__init__("no snapshot can be taken")
        self.reasons = tuple(sorted(reasons, key=lambda reason: reason.line))


class InvalidArtifact(WetreadError):
    """A file is not a model artifact; the message says what it lacks."""


class CodeInWeights(WetreadError):
    """model.pth would run code when it is loaded; the message continues a sentence that begins with its name."""


class PromotionRefused(WetreadError):
    """A version cannot become champion; the message says why."""


class ArtifactChanged(WetreadError):
    """The champion's artifact is not the one that was promoted, so nothing may be read with it."""


class ModelChanged(WetreadError):
    """The champion's SageMaker Model is gone or is another one, so nothing may be read with it."""


class NotAnnounced(WetreadError):
    """EventBridge did not take some events of a study; the message has its codes. The next sweep tries again."""


class Overtaken(WetreadError):
    """The champion changed between two reads. SQS delivers the message again, and the next try finds the new state."""


class NoResults(WetreadError):
    """A revision gets no DICOM results: ``code`` is for programs, ``reason`` (a sentence, without PHI) for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class NoPicture(WetreadError):
    """A slice gets no heat picture: the message is the code, which ``functions.dicom_results.unpictured`` explains."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class HandlerFailed(WetreadError):
    """A function failed; the message names the kind of error, without its text."""
