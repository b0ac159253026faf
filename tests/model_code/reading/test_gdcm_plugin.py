"""The plugin gives the pixels that pydicom's own gives, and refuses what that refuses; in the child that both need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import uid

from model_code.reading import dicom, gdcm_plugin
from model_code.reading.decoder_process import DecoderProcess, DecodingFailed
from model_code.reading.elements import Elements
from tests.hostile.objects import FORMS, Form, good

PIXELS = [form for form in FORMS if form.samples == form.frames == 1 and form.name != "palette"]
ENCODED = [
    pytest.param(syntax, form, id=f"{syntax.name}-{form.name}")
    for syntax in gdcm_plugin.SYNTAXES
    for form in PIXELS
    if syntax != uid.JPEGBaseline8Bit or form.bits == 8
]


@pytest.fixture(scope="module")
def process() -> Iterator[DecoderProcess]:
    made = DecoderProcess()
    yield made
    made.close()


def frame(elements: Elements) -> tuple[dict[str, Any], bytes]:
    form = dicom._pixel_form(elements)
    return form, dicom._codestream(elements, form)


@pytest.mark.parametrize(("syntax", "form"), ENCODED)
def test_the_pixels_are_those_of_pydicoms_own_plugin(process: DecoderProcess, syntax: uid.UID, form: Form) -> None:
    described, codestream = frame(dicom.read_instance(good(syntax, form)))
    theirs = process.decode(syntax, "gdcm", described, codestream)
    ours = process.decode(syntax, gdcm_plugin.NAME, described, codestream)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)
    assert len(np.unique(ours)) > 2


def answer(process: DecoderProcess, plugin: str, form: dict[str, Any], codestream: bytes) -> npt.NDArray[Any] | str:
    try:
        return process.decode(uid.JPEGLosslessSV1, plugin, form, codestream)
    except DecodingFailed as error:
        return str(error)


@pytest.mark.parametrize("cut", range(4, 200, 14))
@pytest.mark.parametrize("bits", [8, 12])
def test_a_damaged_frame_is_the_same_to_both(process: DecoderProcess, cut: int, bits: int) -> None:
    form, codestream = frame(dicom.read_instance(good(uid.JPEGLosslessSV1)))
    damaged = codestream[:cut] + codestream[cut + 2 :]
    ours, theirs = (answer(process, name, form | {"bits_stored": bits}, damaged) for name in (gdcm_plugin.NAME, "gdcm"))
    np.testing.assert_array_equal(ours, theirs)


def test_dicom_objects_of_these_syntaxes_are_decoded_with_it() -> None:
    chosen = {syntax for syntax, plugin in dicom.DECODING_PLUGINS.items() if plugin == gdcm_plugin.NAME}
    assert chosen == set(gdcm_plugin.SYNTAXES)
