"""Lines of text fit the picture, and nothing of the text is lost."""

from __future__ import annotations

import itertools

import pytest
from PIL import Image, ImageDraw, ImageFont

from functions.dicom_results.drawing import SMALL, broken

DRAW, FONT = ImageDraw.Draw(Image.new("RGB", (10, 10))), ImageFont.load_default(size=SMALL)
WIDTH = 200


def parts(text: str) -> list[str]:
    found = list(broken(text, DRAW, FONT, WIDTH))
    assert all(DRAW.textlength(one, font=FONT) <= WIDTH for one in found)
    return found


def test_a_text_that_fits_is_one_part() -> None:
    assert parts("covid 91.0 %") == ["covid 91.0 %"]


def test_a_text_is_broken_between_words_as_late_as_possible() -> None:
    text = "slices are unlike those that the model was trained on"
    found = parts(text)
    assert len(found) > 1
    assert " ".join(found) == text
    longer = (f"{one} {following.split(' ')[0]}" for one, following in itertools.pairwise(found))
    assert all(DRAW.textlength(one, font=FONT) > WIDTH for one in longer)


@pytest.mark.parametrize("before", ["", "a "])
def test_a_word_that_does_not_fit_is_cut_and_nothing_is_lost(before: str) -> None:
    found = parts(f"{before}{'W' * 60} end")
    assert len(found) > 2
    assert "".join(found).replace(" ", "") == f"{before.strip()}{'W' * 60}end"
    assert all(found)
