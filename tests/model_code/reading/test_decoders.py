"""What is read is what other decoders read, pixel by pixel: pydicom's plugins, and DCMTK where it is installed."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder

from model_code.reading.frame_notes import FrameNote
from tests.model_code.conftest import make_slice
from tests.model_code.reading import encoded
from tests.model_code.reading.codestreams import PICTURE, j2k, jls, jpeg_lossless, read, rle

SIGNED = PICTURE.astype(np.int16) - 2048
DCMTK = {uid.RLELossless: "dcmdrle", uid.JPEGLSNearLossless: "dcmdjpls"}


def made(syntax: uid.UID, frame: bytes, bits: int, *, is_signed: bool = False, of: np.ndarray = PICTURE) -> bytes:
    return make_slice(
        of.astype(np.uint8 if bits <= 8 else np.uint16),
        syntax=syntax,
        PixelData=encapsulate([frame]),
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=int(is_signed),
    )


def objects() -> dict[str, bytes]:
    """Objects by name: each family, signed and not, with 8, 12 and 16 bits, lossy where it can be."""
    found = {"JPEG Extended": made(uid.JPEGExtended12Bit, encoded.JPEG_EXTENDED, 12, of=encoded.SMOOTH)}
    for bits in (8, 12, 16):
        for sign, stored in (("unsigned", PICTURE), ("signed", SIGNED)):
            raw = stored.astype(int) * 2**bits // 4096
            is_signed = sign == "signed"
            found[f"{sign} JPEG 2000 of {bits} bits"] = made(
                uid.JPEG2000, j2k(raw, bits, is_signed=is_signed), bits, is_signed=is_signed
            )
            for near in (0, 2):
                frame = jls(raw, bits, near)
                name = f"{sign} JPEG-LS of {bits} bits, near {near}"
                found[name] = made(uid.JPEGLSNearLossless, frame, bits, is_signed=is_signed)
            if bits == 16:
                frame = jpeg_lossless(raw, bits)
                found[f"{sign} JPEG Lossless"] = made(uid.JPEGLosslessSV1, frame, bits, is_signed=is_signed)
            if bits >= 12:
                found[f"{sign} run lengths of {bits} bits"] = made(uid.RLELossless, rle(raw), 16, is_signed=is_signed)
    return found


OBJECTS = objects()


def plugins(body: bytes) -> list[str]:
    """Return the names of pydicom's own plugins that decode an object here."""
    syntax = pydicom.dcmread(io.BytesIO(body)).file_meta.TransferSyntaxUID
    return [] if syntax == uid.JPEGExtended12Bit else list(get_decoder(syntax).available_plugins)  # none of 12 bits


@pytest.mark.parametrize(("name", "plugin"), [(name, plugin) for name in OBJECTS for plugin in plugins(OBJECTS[name])])
def test_the_values_are_those_of_pydicoms_plugins(name: str, plugin: str) -> None:
    dataset = pydicom.dcmread(io.BytesIO(OBJECTS[name]))
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    theirs, _ = decoder.as_array(dataset, raw=True, decoding_plugin=plugin)
    np.testing.assert_array_equal(read(OBJECTS[name]).values, theirs)


@pytest.mark.parametrize("name", [name for name in OBJECTS if "2000" not in name])
def test_the_values_are_those_of_dcmtk(name: str, tmp_path: Path) -> None:
    body = OBJECTS[name]
    tool = DCMTK.get(pydicom.dcmread(io.BytesIO(body)).file_meta.TransferSyntaxUID, "dcmdjpeg")
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    (tmp_path / "compressed.dcm").write_bytes(body)
    subprocess.run([tool, tmp_path / "compressed.dcm", tmp_path / "native.dcm"], check=True, capture_output=True)
    dataset = pydicom.dcmread(tmp_path / "native.dcm")
    theirs = np.frombuffer(dataset.PixelData, f"<u{dataset.BitsAllocated // 8}")
    values = read(body).values.astype(int)
    bits = (1 << dataset.BitsStored) - 1  # DCMTK leaves the sign to the reader
    np.testing.assert_array_equal(values & bits, theirs[: values.size].reshape(values.shape) & bits)


@pytest.mark.parametrize(
    ("syntax", "frame", "error"),
    [
        (uid.HTJ2KLossless, encoded.HTJ2K, 0),
        (uid.HTJ2KLosslessRPCL, encoded.HTJ2K_RPCL, 0),
        (uid.HTJ2K, encoded.HTJ2K_LOSSY, 1),
    ],
    ids=["HTJ2K", "HTJ2K RPCL", "lossy HTJ2K"],
)
def test_htj2k_of_another_encoder_shows_its_picture(syntax: uid.UID, frame: bytes, error: int) -> None:
    found = read(made(syntax, frame, 12, of=encoded.ROUGH))
    assert np.abs(found.values.astype(int) - encoded.ROUGH).max() <= error
    assert found.notes == ()


def test_jpeg_extended_of_12_bits_shows_its_picture() -> None:
    found = read(OBJECTS["JPEG Extended"])
    assert np.abs(found.values.astype(int) - encoded.SMOOTH).max() <= encoded.LOSSY_ERROR
    assert found.notes == ()


def test_jpeg_extended_is_recognised_under_another_name() -> None:
    found = read(made(uid.JPEGLosslessSV1, encoded.JPEG_EXTENDED, 12, of=encoded.SMOOTH))
    np.testing.assert_array_equal(found.values, read(OBJECTS["JPEG Extended"]).values)
    assert found.notes == (FrameNote.OTHER_COMPRESSION,)
