"""Prepares slices in Hounsfield units for the network: the one definition for training and for serving.

Axes are rows, columns, with the channel put first. The intensity window is fixed, in Hounsfield units. The minimum and
maximum of the slice at hand would make the same tissue differ between slices.

There are two preparations, and a model keeps the one that it was trained with. New models get PATIENT_AXES. AS_STORED
is what models got before: bit for bit MONAI's EnsureChannelFirst, ScaleIntensityRange (clipped), Resize
(size_mode="longest", mode="area") and SpatialPad, which a test checks. PATIENT_AXES is the same for an upright slice
with square pixels that is not enlarged. It is written out because importing MONAI takes longer than everything else
that a server does before its first answer.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import torch
from torch.nn import functional

from model_code.reading.ct_slice import CTSlice
from model_code.reading.frame_notes import FrameNote
from model_code.reading.geometry import Turn
from model_code.reading.notes import Note

Sides = tuple[int, int]


class Preparation(enum.StrEnum):
    """How a slice becomes the network's input; the values are those of metadata.json."""

    AS_STORED = "as_stored"
    PATIENT_AXES = "patient_axes"


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a slice lies in the network's input, in its pixels: turned, then resized to ``rows`` x ``columns``."""

    turn: Turn
    rows: int
    columns: int
    top: int
    left: int


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The parameters that a model was trained with; its metadata.json carries them to inference.

    ``image_size``: rows and columns of the network's input, pixels. The window (level and width in HU) maps to 0..1;
    the default is the usual lung window.
    """

    image_size: int = 512
    window_level_hu: float = -600.0
    window_width_hu: float = 1500.0
    preparation: Preparation = Preparation.PATIENT_AXES

    def prepare(self, ct_slice: CTSlice) -> torch.Tensor:
        """Return one slice as float32, 1 x image_size x image_size in 0..1.

        Averaging over the area keeps thin structures when shrinking. The longest side sets the scale, so that anatomy
        keeps its proportions, and zeros fill the rest of the square.
        """
        as_stored = self.preparation is Preparation.AS_STORED
        image = torch.from_numpy(ct_slice.hounsfield if as_stored else ct_slice.upright()).float()[None]
        low = self.window_level_hu - self.window_width_hu / 2
        image = (image - low).div_(self.window_width_hu).clamp_(0, 1)
        place = self.placement(ct_slice)
        sides = place.rows, place.columns
        image = _averaged(image, sides) if as_stored else _resampled(image, sides)
        right, below = self.image_size - place.left - place.columns, self.image_size - place.top - place.rows
        if any((place.left, right, place.top, below)):
            image = functional.pad(image, (place.left, right, place.top, below))
        return image

    def placement(self, ct_slice: CTSlice) -> Placement:
        """Return where ``prepare`` puts a slice."""
        as_stored = self.preparation is Preparation.AS_STORED
        turn = Turn() if as_stored else ct_slice.turn
        height = 1.0 if as_stored else ct_slice.upright_pixel_height
        rows, columns = ct_slice.hounsfield.shape[:: -1 if turn.exchange else 1]
        sides = rows * height, float(columns)
        scale = self.image_size / max(sides)
        rows, columns = (max(1, round(side * scale)) for side in sides)
        top, left = (self.image_size - rows) // 2, (self.image_size - columns) // 2
        return Placement(turn=turn, rows=rows, columns=columns, top=top, left=left)

    def notes(self, ct_slice: CTSlice) -> tuple[Note | FrameNote, ...]:
        """Return what the preparation of a slice assumed and changed, or that it changed nothing where it should."""
        changes = ct_slice.changes
        if self.preparation is Preparation.AS_STORED and changes:
            changes = (Note.USED_AS_STORED,)
        return (*ct_slice.assumed, *changes)


def _resampled(image: torch.Tensor, sides: Sides) -> torch.Tensor:
    """Return a 1 x rows x columns image with other sides: averaged where it shrinks, interpolated where it grows."""
    rows, columns = image.shape[1:]
    shrunk = _averaged(image, (min(rows, sides[0]), min(columns, sides[1])))
    if tuple(shrunk.shape[1:]) == sides:
        return shrunk
    return functional.interpolate(shrunk[None], sides, mode="bilinear", align_corners=False)[0]


def _averaged(image: torch.Tensor, sides: Sides) -> torch.Tensor:
    if tuple(image.shape[1:]) == sides:
        return image
    return functional.interpolate(image[None], sides, mode="area")[0]
