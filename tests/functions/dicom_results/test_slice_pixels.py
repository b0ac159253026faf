"""Slices in grey: by every transfer syntax that the layer decodes, within bounds, and only where they may be shown."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread, uid
from pydicom.encaps import encapsulate

from functions.dicom_results import slice_pixels
from functions.dicom_results.slice_pixels import DECODERS, LONGEST_SIDE, grey, header_of_slice
from functions.dicom_results.unpictured import NoPictureCode
from functions.domain.errors import NoPicture
from tests.functions.dicom_results.studies import OVER, image

RAMP = np.linspace(-1500, 300, 64 * 64).reshape(64, 64).astype(np.int16) + 1536  # through all of the window, in HU
SIXTEEN = {"BitsStored": 16, "HighBit": 15, "RescaleIntercept": -1536}
EIGHT = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "RescaleIntercept": -1400, "RescaleSlope": 7}


def stored(values: np.ndarray = RAMP, **changes: Any) -> bytes:
    """Return a slice with these stored values."""
    return image(0, 1, PixelData=values.astype(np.uint16).tobytes(), **(SIXTEEN | changes))


def of_lossy(syntax: uid.UID) -> bytes:
    """Return a slice in a lossy codestream."""
    ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64)
    if syntax == uid.JPEGBaseline8Bit:
        stream = io.BytesIO()
        Image.fromarray(ramp.astype(np.uint8)).save(stream, "JPEG", quality=95)
        return image(0, 1, syntax=syntax, PixelData=encapsulate([stream.getvalue()]), **EIGHT)
    near = {uid.JPEGLSNearLossless: {"jls_error": 2}, uid.JPEG2000: {"j2k_psnr": [90]}}[syntax]
    dataset = dcmread(io.BytesIO(stored()))
    dataset.compress(syntax, generate_instance_uid=False, **near)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def shown(body: bytes, **over: Any) -> np.ndarray:
    return grey(header_of_slice(body), replace(OVER, **over))


@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, uid.JPEGLSNearLossless, uid.JPEG2000])
def test_a_lossy_slice_is_shown(syntax: uid.UID) -> None:
    found = shown(of_lossy(syntax))
    if syntax == uid.JPEGBaseline8Bit:
        assert (np.diff(found.mean(axis=1)) >= -0.01).all()
        assert (float(found.min()), float(found.max())) == pytest.approx((0, 1), abs=0.05)
    else:
        assert np.abs(found - shown(stored())).max() < 0.05


def test_the_model_s_window_is_shown_from_dark_to_bright() -> None:
    found = shown(stored())
    assert found.shape == (LONGEST_SIDE, LONGEST_SIDE)
    middle = found[np.argmin(np.abs(np.linspace(-1500, 300, LONGEST_SIDE) + 600))].mean()
    assert middle == pytest.approx(0.5, abs=0.02)
    assert (found[0, 0], found[-1, -1]) == (0, 1)


def test_inverted_greys_are_the_same_hounsfield_units() -> None:
    assert np.array_equal(shown(stored(PhotometricInterpretation="MONOCHROME1")), shown(stored()))


def test_a_long_slice_keeps_its_proportions() -> None:
    assert shown(stored(), rows=64, columns=16).shape == (LONGEST_SIDE, LONGEST_SIDE // 4)


@pytest.mark.parametrize("stated", ["YES", "PERHAPS", "NO\\YES"])
def test_a_slice_that_may_have_a_name_in_it_is_not_shown(stated: str) -> None:
    with pytest.raises(NoPicture, match=NoPictureCode.BURNED_IN):
        header_of_slice(stored(BurnedInAnnotation=stated.split("\\")))


def twice(first: str, then: str, *, behind: bool = False) -> bytes:
    """Return a slice that says twice, the second time perhaps behind its pixels, whether it has text in it."""
    body = stored(BurnedInAnnotation=first.ljust(4))
    element = struct.pack("<HH2sH", 0x28, 0x301, b"CS", 4) + first.ljust(4).encode()
    again = element[:8] + then.ljust(4).encode()
    return body + again if behind else body.replace(element, element + again)


@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind them"])
@pytest.mark.parametrize(("first", "then"), [("YES", "NO"), ("NO", "YES"), ("", "YES"), ("YES", "")])
def test_a_slice_that_contradicts_itself_on_text_in_it_is_not_shown(first: str, then: str, behind: bool) -> None:
    with pytest.raises(NoPicture, match=NoPictureCode.BURNED_IN):
        header_of_slice(twice(first, then, behind=behind))


@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind them"])
def test_a_slice_that_says_twice_that_it_has_no_text_is_shown(behind: bool) -> None:
    assert header_of_slice(twice("NO", "NO", behind=behind))


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGLSLossless])
@pytest.mark.parametrize("signed", [0, 1])
def test_a_codestream_with_more_bits_than_the_slice_has_is_not_shown(syntax: uid.UID, signed: int) -> None:
    """An overlay lies there, whose text is nowhere else, or the values' signs are unclear."""
    values = np.full((64, 64), 0x100, np.uint16)
    values[10:12] |= 0x8000 if not signed else 0x0800
    dataset = dcmread(io.BytesIO(stored(values)))
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, signed
    stream = io.BytesIO()
    dataset.save_as(stream)
    with pytest.raises(NoPicture, match=NoPictureCode.UNDECODABLE):
        shown(stream.getvalue())


@pytest.mark.parametrize("undefined", [False, True])
def test_fragments_in_a_syntax_without_any_are_not_shown_as_pixels(undefined: bool) -> None:
    fragments = encapsulate([RAMP.astype(np.uint16).tobytes()])
    body = image(0, 1, PixelData=fragments, **SIXTEEN)
    if undefined:
        length = struct.pack("<L", len(fragments))
        body = body.replace(b"OW\0\0" + length, b"OW\0\0\xff\xff\xff\xff")
    with pytest.raises(NoPicture, match=NoPictureCode.UNDECODABLE):
        shown(body)


@pytest.mark.parametrize("stated", ["NO", None])
def test_a_slice_that_says_nothing_of_text_in_it_is_shown(stated: str | None) -> None:
    assert header_of_slice(stored(BurnedInAnnotation=stated))


@pytest.mark.parametrize(
    "syntax", [uid.JPEGLosslessSV1, uid.JPEGLossless, uid.JPEGExtended12Bit, uid.HTJ2KLossless, uid.MPEG2MPML]
)
def test_what_the_layer_does_not_decode_has_its_code(syntax: uid.UID) -> None:
    body = image(0, 1, syntax=syntax, PixelData=encapsulate([b"anything"]))
    with pytest.raises(NoPicture, match=NoPictureCode.NOT_DECODED):
        shown(body)


def test_every_decoder_is_one_of_the_layer() -> None:
    assert set(DECODERS.values()) == {"", "pydicom", "pillow", "pyjpegls"}


def test_no_other_installed_package_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slice_pixels, "DECODERS", {uid.JPEGBaseline8Bit: "one that is not installed"})
    with pytest.raises(NoPicture, match=NoPictureCode.UNDECODABLE):
        shown(of_lossy(uid.JPEGBaseline8Bit))


@pytest.mark.parametrize("syntax", [one for one, decoder in DECODERS.items() if decoder], ids=lambda one: one.name)
@pytest.mark.parametrize("damage", [b"\0\0", b"nothing like it", b"\xff\xd8\xff", b"\x01\0\0\0" * 16])
def test_damage_ends_in_a_code(syntax: uid.UID, damage: bytes) -> None:
    with pytest.raises(NoPicture, match=NoPictureCode.UNDECODABLE) as refused:
        shown(image(0, 1, syntax=syntax, PixelData=encapsulate([damage])))
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "changes",
    [
        {"PixelData": bytes(100)},
        {"NumberOfFrames": 2},
        {"SamplesPerPixel": 3},
        {"PhotometricInterpretation": "RGB"},
        {"RescaleSlope": None},
        {"Rows": None},
        {"BitsAllocated": None},
        {"BitsStored": 99},
    ],
)
def test_a_header_that_is_no_slice_s_ends_in_a_code(changes: dict[str, Any]) -> None:
    body = image(0, 1, **(SIXTEEN | {"PixelData": bytes(2 * 64 * 64)} | changes))
    with pytest.raises(NoPicture, match=NoPictureCode.UNDECODABLE):
        shown(body)


@pytest.mark.parametrize("body", [b"", b"no DICOM", stored()[:300]])
def test_bytes_that_are_no_object_end_in_a_code(body: bytes) -> None:
    with pytest.raises(NoPicture, match=NoPictureCode.UNDECODABLE):
        shown(body)


def test_a_codestream_of_another_size_than_the_header_s_ends_in_a_code() -> None:
    dataset = dcmread(io.BytesIO(of_lossy(uid.JPEGBaseline8Bit)))
    dataset.Rows = 32
    stream = io.BytesIO()
    dataset.save_as(stream)
    with pytest.raises(NoPicture, match=NoPictureCode.UNDECODABLE):
        shown(stream.getvalue())


def test_a_frame_of_too_many_pixels_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slice_pixels, "get_decoder", None)
    with pytest.raises(NoPicture, match=NoPictureCode.TOO_LARGE):
        shown(stored(Rows=8192, Columns=4096))


def test_a_large_frame_is_reduced() -> None:
    large = np.zeros((2048, 1024), np.uint16)
    assert shown(stored(large, Rows=2048, Columns=1024), rows=64, columns=32).shape == (LONGEST_SIDE, 256)
