"""Objects made to be slow end by name when their processor time is up, and the next one has its answer."""

from __future__ import annotations

import numpy as np
import pytest

from model_code.errors import InstanceCode, InstanceError
from model_code.inference import input_fn
from model_code.reading import decoder_process, dicom
from tests.hostile.objects import good
from tests.hostile.slow import LOSSLESS, SLOW, body

# These exceed every bound; others may be rejected, or read, before the time is up.
ENDLESS = {"layers of nothing", "scans of a progressive JPEG"}
# A codestream of nothing that is read in time has pixels of one value.
NAMED = {InstanceCode.UNDECODABLE_PIXEL_DATA, InstanceCode.CONSTANT_PICTURE}


@pytest.mark.parametrize("name", SLOW)
def test_an_object_made_to_be_slow_is_answered_and_so_is_the_next(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(decoder_process, "DECODE_SECONDS", 0.5)
        reading = input_fn(body(name), "application/dicom").reading
    if isinstance(reading, InstanceError):
        assert reading.code in NAMED
        assert name not in ENDLESS or "processor time" in reading.message
    else:
        assert name not in ENDLESS
        assert np.isfinite(reading).all()
    assert dicom.decode(dicom.read_instance(good(LOSSLESS))).shape == (72, 64)
