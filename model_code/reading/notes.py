"""The sentences of an answer's ``Notes``: what was assumed of a slice, and what was changed before it was predicted.

The set is closed: no text of an object can be in an answer.
"""

from __future__ import annotations

import enum


class Note(enum.StrEnum):
    """What a reader of the answer should know."""

    ORIENTATION_ASSUMED = (
        "ImageOrientationPatient is absent or invalid: rows are assumed to run to the patient's left, columns to the "
        "back."
    )
    ORIENTATION_BY_LETTERS = "ImageOrientationPatient is absent or invalid: PatientOrientation was read instead."
    SQUARE_ASSUMED = "PixelSpacing and PixelAspectRatio are absent or invalid: pixels are assumed to be square."
    TURNED = "The slice was turned or mirrored to the patient's axes, as ImageOrientationPatient says."
    RESAMPLED = "The slice has pixels that are not square and was resampled to square ones."
    PADDING_IS_AIR = "The padding around the picture (PixelPaddingValue) was replaced by air."
    PADDING_KEPT = "Pixels inside the picture that have the padding's value were kept: the value is also one of tissue."
    USED_AS_STORED = (
        "This model reads slices as they are stored: this one was not turned, resampled or freed of padding as its "
        "header asks. Train the model again to have it done."
    )
    OTHER_BODY_PART = "BodyPartExamined names a part of the body for which this model was not trained."
