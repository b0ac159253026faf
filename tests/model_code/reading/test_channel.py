"""Messages between two processes: whole, in order, within a deadline, and no longer than expected."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from model_code.reading import channel
from model_code.reading.channel import PIPE_BYTES, Channel

Ends = tuple[Channel, Channel]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """One end with deadlines, and the other, which blocks."""
    ours, descriptors = channel.pair()
    theirs = Channel(*descriptors)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("length", [0, 1, PIPE_BYTES, 5 * PIPE_BYTES])
def test_a_message_of_any_length_comes_back_as_it_was(ends: Ends, length: int) -> None:
    ours, theirs = ends
    message = os.urandom(length)
    with ThreadPoolExecutor(1) as other:
        echo = other.submit(lambda: theirs.send(bytes(theirs.receive())))
        ours.send(message)
        assert ours.receive(length) == message
        echo.result()


def test_messages_keep_their_order(ends: Ends) -> None:
    ours, theirs = ends
    for message in (b"first", b"", b"third"):
        theirs.send(message)
    assert [bytes(ours.receive()) for _ in range(3)] == [b"first", b"", b"third"]


def test_no_end_waits_beyond_the_deadline_for_one_that_does_not_write_or_read(ends: Ends) -> None:
    ours, _ = ends
    soon = time.monotonic() + 0.05

    def left() -> float:
        return soon - time.monotonic()

    with pytest.raises(TimeoutError):
        ours.receive(left=left)
    with pytest.raises(TimeoutError):
        ours.send(bytes(3 * PIPE_BYTES), left)


def test_a_message_that_is_too_long_is_refused_before_it_is_read(ends: Ends) -> None:
    ours, theirs = ends
    theirs.send(bytes(100))
    with pytest.raises(ConnectionError, match="100 bytes arrives where 99 are the most"):
        ours.receive(99)


def test_the_end_of_the_other_process_is_reported() -> None:
    ours, descriptors = channel.pair()
    Channel(*descriptors).close()
    with pytest.raises(EOFError):
        ours.receive()
    with pytest.raises(BrokenPipeError):
        ours.send(b"message")
    ours.close()
