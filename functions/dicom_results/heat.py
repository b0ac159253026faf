"""Heat pictures: the slices that a study's class rests on, in grey, and over them where the class's score comes from.

Heat is the grid of the class less that of the reference class, as far as it is above 0. All pictures of a revision have
one scale. It has a least end, so that noise on a slice with no heat stays dark. Heat is brighter than every tissue, the
more the hotter: the picture reads in grey, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from highdicom.base import SOPClass
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from functions.dicom_results.captures import capture
from functions.dicom_results.cautions import NOT_VERIFIED
from functions.dicom_results.drawing import BRIGHT, DIM, SMALL, SPACING, Line, broken
from functions.dicom_results.instances import PRODUCT, Subject
from functions.dicom_results.slice_pixels import LONGEST_SIDE, Grey, size
from functions.dicom_results.stage import name_of_picture
from functions.dicom_results.study import Slice, StudyRead
from functions.domain.grid import Grid, Over

Cells = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

MOST_PICTURES = 3  # of a revision: aggregation names three slices of a class
LEAST_STRENGTH = 4.0  # of the scale's end: a score of e^4, so 55 to 1 against the reference
TISSUE = 0.55  # of the brightness: the brightest that a slice without heat is
COOL, HOT = np.array((255, 140, 0)), np.array((255, 255, 200))  # brightness 62 % and 98 %
MOST_COVER = 0.75  # of a slice, where it is hottest
MARGIN, BAR = 16, 16  # pixels
SYNTHETIC = "Synthetic"


@dataclass(frozen=True, kw_only=True)
class Heated:
    """One of the slices that the class rests on, with its heat, and what that lies over.

    ``place`` counts from 1.
    """

    slice: Slice
    place: int
    label: str
    heat: Cells
    over: Over


def heat_of(grid: Grid, labels: Sequence[str], label: str, reference: str | None) -> Cells:
    """Return the heat of a class, rows x columns; ``labels`` are the grid's classes in their order."""
    values = np.array([grid.values(number) for number in range(grid.classes)], np.float32)
    own = labels.index(label)
    others = [labels.index(reference)] if reference in labels else [n for n in range(len(labels)) if n != own]
    less = values[others].max(axis=0) if others else np.float32(0)
    found: Cells = np.maximum(values[own] - less, 0)
    return found


def strength_of(heats: Sequence[Cells]) -> float:
    """Return the end of the scale of a revision's pictures."""
    return max([LEAST_STRENGTH, *(float(one.max()) for one in heats)])


def heat_picture(subject: Subject, shown: Heated, grey: Grey, strength: float, burned_in: str) -> SOPClass:
    """Return the picture of one slice; ``burned_in`` is the slice's own BurnedInAnnotation, "" without one."""
    read = subject.read
    number = 10 * read.revision + shown.place
    pixels = drawn(grey, shown, strength, list(lines(read, shown, strength)))
    made = capture(subject, name_of_picture(shown.place), number, pixels)
    if burned_in == "NO":  # the legend has no patient in it; of the slice nobody else can say so
        made.BurnedInAnnotation = "NO"
    made.DerivationDescription = (
        f"The slice resized, and over it in colour where the score of the model {read.model.name} {read.model.version} "
        f"for {shown.label} comes from. By {PRODUCT}. Not a segmentation, not for diagnosis."
    )
    made.SourceImageSequence = [_source(shown.slice)]
    return made


def lines(read: StudyRead, shown: Heated, strength: float) -> Iterator[Line]:
    """Yield the legend: what the picture is, what it is not, and of which slice and model."""
    number = "an image without a number" if shown.slice.number is None else f"image {shown.slice.number}"
    compared = f"than for {read.reference_label}" if read.reference_label else "than for any other class"
    rows, columns = shown.heat.shape
    yield NOT_VERIFIED, SMALL, DIM
    yield f"{read.name_of(shown.slice.series_uid).capitalize()}, {number}", SMALL, BRIGHT
    yield f"Colour: where the model's score for {shown.label} comes from", SMALL, BRIGHT
    yield "Not a segmentation, not for diagnosis", SMALL, BRIGHT
    if SYNTHETIC in read.cautions:
        yield "Synthetic model: about a person it says nothing", SMALL, BRIGHT
    yield f"Scale: 0 to {strength:.1f} more {compared}; {rows} x {columns} values over the input", SMALL, DIM
    yield f"Model {read.model.name} {read.model.version}, revision {read.revision}", SMALL, DIM


def drawn(grey: Grey, shown: Heated, strength: float, legend: Sequence[Line]) -> Picture:
    """Return the slice with its heat, the scale below it, and the legend: rows x columns x RGB."""
    above = blended(grey, spread(shown.heat, shown.over) / strength)
    rows, columns = above.shape[:2]
    scale = coloured(np.tile(np.linspace(0, 1, LONGEST_SIDE, dtype=np.float32), (BAR, 1)))
    text = _written(legend, LONGEST_SIDE)
    canvas = np.zeros((rows + BAR + len(text), LONGEST_SIDE, 3), np.uint8)
    left = (LONGEST_SIDE - columns) // 2
    canvas[:rows, left : left + columns] = above
    canvas[rows : rows + BAR] = scale
    canvas[rows + BAR :] = text
    return canvas


def spread(heat: Cells, over: Over) -> Cells:
    """Return the heat at each pixel of the drawn slice, interpolated; what lies beside the slice is cut off."""
    rows, columns = size(over)
    down, across = heat.shape[0] / over.side, heat.shape[1] / over.side
    box = (
        over.left * across,
        over.top * down,
        (over.left + over.columns) * across,
        (over.top + over.rows) * down,
    )
    image = Image.fromarray(np.ascontiguousarray(heat))
    found: Cells = np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR, box=box))
    return found


def blended(grey: Grey, heat: Cells) -> Picture:
    """Return a slice under its heat, 0 to 1 each."""
    cover = (MOST_COVER * heat)[..., None]
    tissue = (255 * TISSUE * grey)[..., None]
    return _bytes((1 - cover) * tissue + cover * _colours(heat))


def coloured(heat: Cells) -> Picture:
    """Return heat over black, as the scale shows it."""
    return blended(np.zeros_like(heat), heat)


def _colours(heat: Cells) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = COOL + (HOT - COOL) * heat[..., None]
    return found


def _bytes(values: npt.NDArray[np.float64]) -> Picture:
    return values.clip(0, 255).round().astype(np.uint8)


def _written(legend: Sequence[Line], width: int) -> Picture:
    """Return lines of text on black, as high as they need."""
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    parts = [
        (part, high, colour)
        for text, high, colour in legend
        for part in broken(text, draw, ImageFont.load_default(size=high), width - 2 * MARGIN)
    ]
    canvas = Image.new("RGB", (width, round(2 * MARGIN + sum(high * SPACING for _, high, _ in parts))))
    draw, y = ImageDraw.Draw(canvas), float(MARGIN)
    for part, high, colour in parts:
        draw.text((MARGIN, y), part, font=ImageFont.load_default(size=high), fill=colour)
        y += high * SPACING
    return np.asarray(canvas)


def _source(one: Slice) -> Dataset:
    """Return the reference to the slice that a picture was made of."""
    purpose = codes.DCM.SourceImageForImageProcessingOperation
    code, item = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = purpose.value, "DCM", purpose.meaning
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.sop_class_uid, one.sop_uid
    item.PurposeOfReferenceCodeSequence = [code]
    return item
