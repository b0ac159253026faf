"""Frame sizes are read from the codestreams of every family."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import get_frame

from model_code.reading.codestream import MOST_MARKERS, read_codestream
from tests.model_code.conftest import MakeSlice


@pytest.fixture(params=[uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless], ids=lambda s: s.name)
def codestream(request: pytest.FixtureRequest, make_slice: MakeSlice) -> bytes:
    body = make_slice(np.zeros((30, 50), np.uint16), syntax=request.param)
    return get_frame(pydicom.dcmread(io.BytesIO(body)).PixelData, 0, number_of_frames=1)


def test_size_and_components(codestream: bytes) -> None:
    stream = read_codestream(codestream)
    assert (stream.rows, stream.columns, stream.components) == (30, 50, 1)


def test_every_cut_is_found(codestream: bytes) -> None:
    for length in range(len(codestream.rstrip(b"\0")) - 1):
        with pytest.raises(ValueError, match=r"codestream|JPEG"):
            read_codestream(codestream[:length])


def test_other_bytes_are_no_codestream() -> None:
    with pytest.raises(ValueError, match="neither JPEG nor JPEG 2000"):
        read_codestream(b"GIF89a" + bytes(60))
    with pytest.raises(ValueError, match="no frame header"):
        read_codestream(b"\xff\xd8\xff\xda" + bytes(60))


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\xe0\0\2"], ids=["fill bytes", "empty segments"])
def test_markers_without_end_are_followed_no_further_than_the_bound(filling: bytes) -> None:
    with pytest.raises(ValueError, match=f"more than {MOST_MARKERS} markers"):
        read_codestream(b"\xff\xd8" + filling * (MOST_MARKERS + 1) + b"\xff\xd9")
