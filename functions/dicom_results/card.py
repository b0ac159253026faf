"""The text card: the result in words as a picture (Secondary Capture), for every viewer that shows images.

No text of the patient is drawn: no name, no id, no date.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from highdicom.base import SOPClass
from highdicom.sc import SCImage
from PIL import Image, ImageDraw, ImageFont
from pydicom.uid import ExplicitVRLittleEndian

from functions.dicom_results.cautions import NO_CLASS, NOT_VERIFIED, sentence
from functions.dicom_results.instances import Subject
from functions.dicom_results.stage import Kind
from functions.dicom_results.study import Finding, Series, Slice, StudyRead

WIDTH, HEIGHT, MARGIN = 768, 512, 32
LARGE, SMALL = 28, 18  # pixels
BRIGHT, DIM = (255, 255, 255), (190, 190, 190)
SPACING = 1.5  # line to line, in heights of the letters
MOST_IMAGES = 8  # named in a line

Line = tuple[str, int, tuple[int, int, int]]
"""A text, its size, and its colour."""


def card(subject: Subject) -> SOPClass:
    """Return the card of a study read."""
    made = SCImage.from_ref_dataset(
        subject.first,
        pixels(subject.read),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **subject.named(Kind.CARD, subject.read.revision),
    )
    made = subject.finished(made)
    made.PatientOrientation = []  # highdicom wants one; a card has none, which is written as empty
    made.BurnedInAnnotation = "NO"
    made.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    body_part = subject.reference.get("BodyPartExamined", "")
    if body_part:
        made.BodyPartExamined = body_part
    else:
        made.Laterality = ""
    return made


def pixels(read: StudyRead) -> np.ndarray:
    """Return the drawn card: rows x columns x RGB, 8 bits each."""
    canvas = Image.new("RGB", (WIDTH, HEIGHT))
    draw, y = ImageDraw.Draw(canvas), float(MARGIN)
    for text, size, colour in lines(read):
        font = ImageFont.load_default(size=size)
        for part in _broken(text, draw, font):
            if y + size * SPACING > HEIGHT - MARGIN:
                break
            draw.text((MARGIN, y), part, font=font, fill=colour)
            y += size * SPACING
    return np.asarray(canvas)


def lines(read: StudyRead) -> Iterator[Line]:
    """Yield the lines of a card, from the top: everything that is drawn, the most important first."""
    yield NOT_VERIFIED, SMALL, DIM
    yield f"Study: {read.predicted or NO_CLASS}", LARGE, BRIGHT
    yield from ((text, SMALL, BRIGHT) for text in _images(read))
    yield ", ".join(f"{one.label} {_percent(one)}" for one in read.of_study), SMALL, BRIGHT
    yield from ((sentence(code), SMALL, BRIGHT) for code in read.cautions)
    model = read.model
    yield f"Model {model.name} {model.version}, revision {read.revision}, {read.aggregation}", SMALL, DIM
    yield f"{len(read.members)} slices read; scores are not probabilities", SMALL, DIM
    yield from ((_of_series(one, read), SMALL, DIM) for one in read.series)


def _images(read: StudyRead) -> Iterator[str]:
    """Yield which images the study's class rests on, by series and InstanceNumber."""
    chosen = read.in_order(read.key_slices)
    for series in read.series:
        images = [_number(one) for one in chosen if one.series_uid == series.uid]
        if images:
            more = ", …" if len(images) > MOST_IMAGES else ""
            yield f"See {read.name_of(series.uid)}, images {', '.join(images[:MOST_IMAGES])}{more}"


def _of_series(series: Series, read: StudyRead) -> str:
    count = sum(one.series_uid == series.uid for one in read.members)
    scores = ", ".join(f"{one.label} {_percent(one)}" for one in read.findings if one.series_uid == series.uid)
    return f"{read.name_of(series.uid).capitalize()}, {count} slices: {scores or 'no scores'}"


def _percent(finding: Finding) -> str:
    return f"{100 * finding.score:.1f} %"


def _number(one: Slice) -> str:
    return "without a number" if one.number is None else str(one.number)


def _broken(text: str, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Iterator[str]:
    """Yield a text in parts that fit the card's width; a word that does not is cut."""
    part = ""
    for word in text.split(" "):
        longer = f"{part} {word}" if part else word
        if draw.textlength(longer, font=font) <= WIDTH - 2 * MARGIN:
            part = longer
            continue
        if part:
            yield part
        part = word
        while draw.textlength(part, font=font) > WIDTH - 2 * MARGIN:
            cut = next(
                at for at in range(len(part), 0, -1) if draw.textlength(part[:at], font=font) <= WIDTH - 2 * MARGIN
            )
            yield part[:cut]
            part = part[cut:]
    yield part
