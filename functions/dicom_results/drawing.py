"""Lines of text in a picture: broken where they would leave it."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Colour = tuple[int, int, int]
Line = tuple[str, int, Colour]
"""A text, its size, and its colour."""
LARGE, SMALL = 28, 18  # pixels
BRIGHT, DIM = (255, 255, 255), (190, 190, 190)
SPACING = 1.5  # line to line, in heights of the letters


def broken(text: str, draw: ImageDraw.ImageDraw, font: Font, width: int) -> Iterator[str]:
    """Yield a text in parts that fit the width; a word that does not is cut."""
    part = ""
    for word in text.split(" "):
        longer = f"{part} {word}" if part else word
        if draw.textlength(longer, font=font) <= width:
            part = longer
            continue
        if part:
            yield part
        part = word
        while draw.textlength(part, font=font) > width:
            cut = next(at for at in range(len(part), 0, -1) if draw.textlength(part[:at], font=font) <= width)
            yield part[:cut]
            part = part[cut:]
    yield part
