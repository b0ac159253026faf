"""The exceptions of the container, and the codes that an error document carries.

ModelCodeError
├── InstanceError         bytes that are not one readable CT slice: a code and a sentence, answered with HTTP 200
├── UnsupportedMediaType  a request's Content-Type that the model does not read: HTTP 415
├── NotAcceptable         a request's Accept that the model cannot answer in: HTTP 406
├── ArtifactError         a model folder or model.tar.gz that breaks the layout
├── BackendError          a backend that this machine lacks, or that computes something else here
├── SnapshotError         a snapshot.json, or slices beside it, that are not what the snapshot pinned
├── EvaluationError       a candidate or champion that cannot be measured on the snapshot's test slices
├── OptimisationError     faster backends that cannot be validated on the snapshot's slices
└── TrainingError         hyperparameters or training data that cannot be trained on
"""

from __future__ import annotations

import enum


class InstanceCode(enum.StrEnum):
    """Why the bytes of one request are not predicted. The same bytes always get the same code."""

    NOT_DICOM = "NotDicom"
    TRUNCATED_HEADER = "TruncatedHeader"
    UNREADABLE_HEADER = "UnreadableHeader"
    HEADER_TOO_LONG = "HeaderTooLong"
    UNSUPPORTED_TRANSFER_SYNTAX = "UnsupportedTransferSyntax"
    UNSUPPORTED_MODALITY = "UnsupportedModality"
    NO_PIXEL_DATA = "NoPixelData"
    MULTI_FRAME = "MultiFrame"
    UNSUPPORTED_PHOTOMETRIC = "UnsupportedPhotometric"
    UNSUPPORTED_PIXEL_FORMAT = "UnsupportedPixelFormat"
    TOO_MANY_PIXELS = "TooManyPixels"
    MISSING_GEOMETRY = "MissingGeometry"
    TOO_FEW_PIXELS = "TooFewPixels"
    LOCALIZER_NOT_SERVED = "LocalizerNotServed"
    DERIVED_NOT_SERVED = "DerivedNotServed"
    PLANE_NOT_SERVED = "PlaneNotServed"
    SCREEN_SAVE_NOT_SERVED = "ScreenSaveNotServed"
    CONSTANT_PICTURE = "ConstantPicture"
    NOT_HOUNSFIELD = "NotHounsfield"
    UNDECODABLE_PIXEL_DATA = "UndecodablePixelData"
    NO_PROBABILITIES = "NoProbabilities"
    KILLS_CONTAINER = "KillsContainer"
    HOLDS_CONTAINER = "HoldsContainer"


class ModelCodeError(Exception):
    """Base of the container's exceptions."""


class InstanceError(ModelCodeError):
    """One object that cannot be predicted: ``code`` for programs, ``message`` (a sentence, without PHI) for people.

    ``of_this_machine``: one with more memory or faster cores may read it.
    """

    def __init__(self, code: InstanceCode, message: str, *, of_this_machine: bool = False) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.of_this_machine = of_this_machine


class UnsupportedMediaType(ModelCodeError):
    """The request body's Content-Type is not one that the model reads."""


class NotAcceptable(ModelCodeError):
    """The answer's type that the request accepts is not one that the model writes."""


class ArtifactError(ModelCodeError):
    """A model artifact breaks its layout; the message names the file and what is wrong with it."""


class BackendError(ModelCodeError):
    """A backend cannot be used on this machine; another one of the same artifact can."""


class SnapshotError(ModelCodeError):
    """The snapshot or a slice of it is not what was pinned; the message lists every problem, with lines."""


class EvaluationError(ModelCodeError):
    """A model cannot be measured, or two cannot be compared; the message says which model and what to do."""


class OptimisationError(ModelCodeError):
    """Nothing to validate a faster backend with; the message says what is missing."""


class TrainingError(ModelCodeError):
    """A training job's input cannot be trained on; the message lists every problem."""
