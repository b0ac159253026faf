"""Two libraries are quiet while they see a header, and as loud as before afterwards."""

from __future__ import annotations

import logging
import warnings

import pytest

from functions.dicom_results.quiet import LIBRARIES, quietly


class OddError(Exception):
    """What a library raises."""


def speak_inside(loggers: list[logging.Logger]) -> None:
    with quietly():
        for one in loggers:
            one.critical("inside")
        warnings.warn("inside", stacklevel=1)
        raise OddError


def test_a_library_says_nothing_inside_and_what_it_said_before_outside(caplog: pytest.LogCaptureFixture) -> None:
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    caplog.set_level(logging.INFO, logger=LIBRARIES[0])
    before = [one.level for one in loggers]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(OddError):
            speak_inside(loggers)
        warnings.warn("outside", stacklevel=1)
    loggers[0].info("outside")
    assert [record.message for record in caplog.records] == ["outside"]
    assert [str(one.message) for one in caught] == ["outside"]
    assert [one.level for one in loggers] == before
