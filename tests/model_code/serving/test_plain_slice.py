"""The plain slice that a restarted process must survive."""

from __future__ import annotations

from model_code.reading.ct_slice import read_slice
from model_code.reading.dicom import read_instance
from model_code.serving.plain_slice import SIDE, VALUES, plain_slice


def test_every_server_can_read_the_plain_slice() -> None:
    hounsfield = read_slice(read_instance(plain_slice())).hounsfield
    assert hounsfield.shape == (SIDE, SIDE)
    assert (hounsfield.min(), hounsfield.max()) == (-1024, VALUES - 1 - 1024)
