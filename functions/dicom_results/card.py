"""The text card: the result in words as a picture (Secondary Capture), for every viewer that shows images.

No text of the patient is drawn: no name, no id, no date.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from highdicom.base import SOPClass
from PIL import Image, ImageDraw, ImageFont

from functions.dicom_results.captures import capture
from functions.dicom_results.cautions import NO_CLASS, NOT_VERIFIED, sentence
from functions.dicom_results.drawing import BRIGHT, DIM, LARGE, SMALL, SPACING, Line, broken
from functions.dicom_results.instances import Subject
from functions.dicom_results.stage import Kind
from functions.dicom_results.study import Finding, Series, Slice, StudyRead

WIDTH, HEIGHT, MARGIN = 768, 512, 32
MOST_IMAGES = 8  # named in a line


def card(subject: Subject) -> SOPClass:
    """Return the card of a study read."""
    made = capture(subject, Kind.CARD, subject.read.revision, pixels(subject.read))
    made.BurnedInAnnotation = "NO"
    return made


def pixels(read: StudyRead) -> np.ndarray:
    """Return the drawn card: rows x columns x RGB, 8 bits each."""
    canvas = Image.new("RGB", (WIDTH, HEIGHT))
    draw, y = ImageDraw.Draw(canvas), float(MARGIN)
    for text, size, colour in lines(read):
        font = ImageFont.load_default(size=size)
        for part in broken(text, draw, font, WIDTH - 2 * MARGIN):
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
