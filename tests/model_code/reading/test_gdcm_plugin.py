"""The plugin returns the pixels of pydicom's own plugin, and refuses the same frames, in the child that both need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import uid

from model_code.reading import dicom, gdcm_plugin
from model_code.reading.codestream import read_codestream
from model_code.reading.decoder_process import DecoderProcess, DecodingFailed
from model_code.reading.elements import Elements
from model_code.reading.frame import decoder_of
from model_code.reading.pixel_data import encoded_frame
from tests.hostile.objects import PIXEL_FORMATS, PixelFormat, good

PIXELS = [one for one in PIXEL_FORMATS if one.samples == one.frames == 1 and one.name != "palette"]
ENCODED = [
    pytest.param(syntax, pixels, id=f"{syntax.name}-{pixels.name}")
    for syntax in gdcm_plugin.SYNTAXES
    for pixels in PIXELS
    if syntax in {uid.JPEGLossless, uid.JPEGLosslessSV1} or pixels.bits == 8  # theirs knows no lossy JPEG of 12 bits
]


@pytest.fixture(scope="module")
def process() -> Iterator[DecoderProcess]:
    made = DecoderProcess()
    yield made
    made.close()


def frame(elements: Elements) -> tuple[dict[str, Any], bytes]:
    attributes = dicom._pixel_attributes(elements)
    return attributes, encoded_frame(elements, attributes).data


@pytest.mark.parametrize(("syntax", "pixels"), ENCODED)
def test_the_pixels_are_those_of_pydicoms_own_plugin(
    process: DecoderProcess, syntax: uid.UID, pixels: PixelFormat
) -> None:
    described, codestream = frame(dicom.read_instance(good(syntax, pixels)))
    theirs = process.decode(syntax, "gdcm", described, codestream)
    ours = process.decode(syntax, gdcm_plugin.NAME, described, codestream)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)
    assert len(np.unique(ours)) > 2


def answer(
    process: DecoderProcess, plugin: str, attributes: dict[str, Any], codestream: bytes
) -> npt.NDArray[Any] | str:
    try:
        return process.decode(uid.JPEGLosslessSV1, plugin, attributes, codestream)
    except DecodingFailed as error:
        return str(error)


@pytest.mark.parametrize("cut", range(4, 200, 14))
@pytest.mark.parametrize("bits", [8, 12])
def test_a_damaged_frame_is_the_same_to_both(process: DecoderProcess, cut: int, bits: int) -> None:
    attributes, codestream = frame(dicom.read_instance(good(uid.JPEGLosslessSV1)))
    damaged = codestream[:cut] + codestream[cut + 2 :]
    ours, theirs = (
        answer(process, name, attributes | {"bits_stored": bits}, damaged) for name in (gdcm_plugin.NAME, "gdcm")
    )
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("syntax", gdcm_plugin.SYNTAXES, ids=lambda syntax: syntax.name)
def test_a_frame_of_another_size_than_the_header_says_is_refused(process: DecoderProcess, syntax: uid.UID) -> None:
    attributes, codestream = frame(dicom.read_instance(good(syntax, PIXELS[0])))
    for rows in (attributes["rows"] - 1, attributes["rows"] + 1, 2 * attributes["rows"]):
        with pytest.raises(DecodingFailed, match="RuntimeError in the decoder"):
            process.decode(syntax, gdcm_plugin.NAME, attributes | {"rows": rows}, codestream)


@pytest.mark.parametrize("syntax", gdcm_plugin.SYNTAXES, ids=lambda syntax: syntax.name)
def test_codestreams_of_these_syntaxes_are_decoded_with_it(syntax: uid.UID) -> None:
    _, codestream = frame(dicom.read_instance(good(syntax, PIXELS[0])))
    assert decoder_of(read_codestream(codestream))[1] == gdcm_plugin.NAME
