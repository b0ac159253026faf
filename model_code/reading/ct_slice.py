"""Reads one CT slice: its Hounsfield units as they are stored, checked, and what its header says of how they lie."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from model_code.errors import InstanceCode, InstanceError
from model_code.reading import geometry, padding
from model_code.reading.dicom import check_object, decoded
from model_code.reading.elements import Elements
from model_code.reading.frame_notes import FrameNote
from model_code.reading.geometry import Turn
from model_code.reading.hounsfield import AIR, HounsfieldArray, check_values
from model_code.reading.notes import Note
from model_code.reading.padding import Mask, Padding
from untrusted import picture as pictures
from untrusted.picture import ANY, Picture, PictureError, Pictures
from untrusted.position import position


@dataclass(frozen=True)
class CTSlice:
    """One slice: ``hounsfield``, float32, rows x columns as DICOM orders them, and how to bring it upright.

    ``pixel_height`` is in widths of the stored pixels. ``padding`` marks pixels that are not of the picture, None
    without any. ``body_part`` is BodyPartExamined as the header has it; it may be any text. ``picture`` is what the
    header says of it; None for one that was made. ``noted`` is what the reader of the header noted, ``assumed`` what
    the header does not say. ``position`` is in mm along its normal, None where the header does not say it.
    """

    hounsfield: HounsfieldArray
    turn: Turn = field(default_factory=Turn)
    pixel_height: float = 1.0
    padding: Mask | None = None
    body_part: str = ""
    picture: Picture | None = None
    noted: tuple[str, ...] = ()
    assumed: tuple[Note | FrameNote, ...] = ()
    position: float | None = None

    @property
    def changes(self) -> tuple[Note, ...]:
        """What bringing the slice upright changes; empty if it is stored upright, with square pixels and no padding."""
        changes = {
            Note.TURNED: bool(self.turn),
            Note.RESAMPLED: self.pixel_height != 1,
            Note.PADDING_IS_AIR: self.padding is not None,
        }
        return tuple(note for note, applies in changes.items() if applies)

    def upright(self) -> HounsfieldArray:
        """Return the slice in the patient's axes, its padding as air; its pixels are still as high as they are."""
        filled = self.hounsfield if self.padding is None else np.where(self.padding, np.float32(AIR), self.hounsfield)
        return self.turn.apply(filled) if self.turn else filled

    @property
    def upright_pixel_height(self) -> float:
        """The height of a pixel in widths, once the slice is upright."""
        return 1 / self.pixel_height if self.turn.exchange else self.pixel_height


def read_slice(elements: Elements) -> CTSlice:
    """Return the slice that ``elements`` describe.

    Raises InstanceError with the code of what is missing, unsupported, damaged or no slice of a body.
    """
    return pixels_of(elements, read_picture(elements))


def pixels_of(elements: Elements, picture: Picture) -> CTSlice:
    """Return the slice whose ``picture`` has been read; raises InstanceError as ``read_slice`` does."""
    check_picture(picture, ANY)
    hounsfield, frame_notes = decoded(elements)
    found = padding.find(elements, hounsfield)
    check_values(hounsfield, found.pixels)
    turn, pixel_height = geometry.turn_of(elements), geometry.pixel_height(elements)
    return CTSlice(
        hounsfield,
        turn=turn or Turn(),
        pixel_height=pixel_height or 1.0,
        padding=found.pixels,
        body_part=elements.text("BodyPartExamined"),
        picture=picture,
        noted=tuple(elements.header.notes),
        assumed=(*frame_notes, *_assumed(picture, turn, pixel_height, found)),
        position=position(elements.header),
    )


def read_picture(elements: Elements) -> Picture:
    """Return what the header says of the picture; raises InstanceError if the object is no CT of one frame."""
    check_object(elements)
    return pictures.described(elements.header)


def check_picture(picture: Picture, served: Pictures) -> tuple[str, ...]:
    """Return notes on a picture; raises InstanceError unless it is one of those ``served``."""
    try:
        return pictures.check(picture, served)
    except PictureError as error:
        raise InstanceError(InstanceCode(error.code), error.reason) from None


def _assumed(picture: Picture, turn: Turn | None, pixel_height: float | None, found: Padding) -> tuple[Note, ...]:
    assumed = {
        Note.ORIENTATION_ASSUMED: turn is None,
        Note.ORIENTATION_BY_LETTERS: picture.by_letters,
        Note.SQUARE_ASSUMED: pixel_height is None,
        Note.PADDING_KEPT: found.kept,
    }
    return tuple(note for note, applies in assumed.items() if applies)
