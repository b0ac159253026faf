"""What dispatch takes for the longest that an object can keep the container busy is what the container sees to."""

from __future__ import annotations

import pytest
from pydicom import uid

from functions.domain import batch
from infra.config import StageConfig
from infra.validation import START_SECONDS
from model_code.reading import decoder_process
from model_code.reading.frame import TRANSFER_SYNTAXES
from model_code.serving import worker


def test_a_frame_is_decoded_no_longer_than_dispatch_counts() -> None:
    assert decoder_process.DECODE_SECONDS <= batch.DECODE_SECONDS


def test_a_host_has_as_many_decoders_as_dispatch_counts() -> None:
    assert worker.DECODING_THREADS >= batch.DECODERS


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_what_counts_as_quick_never_goes_to_a_decoder(syntax: uid.UID) -> None:
    quick = not syntax.is_encapsulated and not syntax.is_deflated
    assert (syntax in batch.NATIVE_SYNTAXES) == quick


def test_a_job_of_the_worst_objects_ends_long_before_it_is_stopped() -> None:
    """Even with each taking half as long again: two decoders and the network share the cores of a small host."""
    stage = StageConfig()
    assert 1.5 * stage.max_work_seconds + START_SECONDS <= stage.max_job_seconds
