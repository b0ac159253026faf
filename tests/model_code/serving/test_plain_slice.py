"""The plain slice that a restarted process must survive."""

from __future__ import annotations

from model_code.reading.dicom import decode, read_instance
from model_code.serving.plain_slice import SIDE, plain_slice


def test_every_server_can_read_the_plain_slice() -> None:
    hounsfield = decode(read_instance(plain_slice()))
    assert hounsfield.shape == (SIDE, SIDE)
    assert (hounsfield[0, 0], hounsfield[-1, -1]) == (-1024, SIDE * SIDE - 1 - 1024)
