"""The decoder's child process: its end is never the server's end, nor another object's error."""

from __future__ import annotations

import io
import logging
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Timer
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import get_frame

from model_code.reading import decoder_process, gdcm_plugin
from model_code.reading.channel import PIPE_BYTES
from model_code.reading.decoder_process import DecoderProcess, Decoders, DecodingFailed, NoDecoder
from tests.hostile.slow import SIDE, layers_of_nothing
from tests.model_code.conftest import MakeSlice

STORED = np.arange(48, dtype=np.uint16).reshape(6, 8)
ATTRIBUTES = {
    "rows": 6,
    "columns": 8,
    "samples_per_pixel": 1,
    "photometric_interpretation": "MONOCHROME2",
    "number_of_frames": 1,
    "pixel_keyword": "PixelData",
    "bits_allocated": 16,
    "bits_stored": 16,
    "pixel_representation": 0,
}


@pytest.fixture
def process() -> Iterator[DecoderProcess]:
    made = DecoderProcess()
    yield made
    made.close()


@pytest.fixture
def codestream(make_slice: MakeSlice) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(make_slice(STORED, syntax=uid.JPEGLosslessSV1)))
    return get_frame(dataset.PixelData, 0, number_of_frames=1)


def test_a_rejected_frame_leaves_the_child_at_work(process: DecoderProcess, codestream: bytes) -> None:
    with pytest.raises(DecodingFailed, match="in the decoder") as rejected:
        process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, ATTRIBUTES, b"no codestream")
    assert not isinstance(rejected.value, NoDecoder)
    child = process._child
    np.testing.assert_array_equal(process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, ATTRIBUTES, codestream), STORED)
    assert process._child is child


NOISE = np.random.default_rng(3).integers(0, 4096, (64, 64)).astype(np.uint16)
LARGE = ATTRIBUTES | {"rows": 64, "columns": 64}


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[: len(whole) // 2] + whole[-2:],
        lambda whole: whole[:1000] + bytes(64) + whole[1064:],
        lambda whole: whole[:1000] + b"\x12\x34\x56\x78" + whole[1000:],
    ],
    ids=["half is missing", "some bytes are lost", "four are added"],
)
def test_a_frame_that_the_decoder_only_warns_about_is_refused(
    process: DecoderProcess, make_slice: MakeSlice, damage: Callable[[bytes], bytes]
) -> None:
    dataset = pydicom.dcmread(io.BytesIO(make_slice(NOISE, syntax=uid.JPEGLosslessSV1)))
    whole = get_frame(dataset.PixelData, 0, number_of_frames=1).rstrip(b"\0")
    with pytest.raises(DecodingFailed, match="corrupt data"):
        process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, LARGE, damage(whole))
    np.testing.assert_array_equal(process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, LARGE, whole), NOISE)


def test_a_child_that_was_killed_is_replaced_unnoticed(process: DecoderProcess, codestream: bytes) -> None:
    process.start()
    assert process._child is not None
    process._child.kill()
    np.testing.assert_array_equal(process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, ATTRIBUTES, codestream), STORED)


def test_a_frame_that_ends_every_child_is_a_named_failure(
    process: DecoderProcess, codestream: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    start = DecoderProcess._ensure_started

    def start_and_kill(self: DecoderProcess) -> None:
        start(self)
        assert self._child is not None
        started.append(self._child.pid)
        self._child.kill()

    with monkeypatch.context() as patch:
        patch.setattr(DecoderProcess, "_ensure_started", start_and_kill)
        with pytest.raises(NoDecoder, match="crashes"):
            process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, ATTRIBUTES, codestream)
    assert len(set(started)) == 2
    np.testing.assert_array_equal(process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, ATTRIBUTES, codestream), STORED)


def test_a_decoder_that_hangs_is_ended(
    process: DecoderProcess, codestream: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.start()
    assert process._child is not None
    process._child.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(decoder_process, "STUCK_SECONDS", 0.1)
    with pytest.raises(NoDecoder, match="did not answer within"):
        process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, ATTRIBUTES, codestream)
    assert process._child is None


def test_a_frame_that_needs_more_processor_time_than_the_bound_ends_its_child_and_is_named(
    process: DecoderProcess, codestream: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = ATTRIBUTES | {"rows": SIDE, "columns": SIDE}
    with monkeypatch.context() as patch:
        patch.setattr(decoder_process, "DECODE_SECONDS", 0.2)
        with pytest.raises(NoDecoder, match=r"needs more than 0\.2 s of processor time"):
            process.decode(uid.JPEG2000Lossless, "pylibjpeg", slow, layers_of_nothing())
    assert process._child is None
    np.testing.assert_array_equal(process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, ATTRIBUTES, codestream), STORED)


def test_time_in_which_others_have_the_processor_does_not_count(
    process: DecoderProcess, codestream: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_process, "DECODE_SECONDS", 0.3)
    process.start()
    assert process._child is not None
    process._child.send_signal(signal.SIGSTOP)
    go_on = Timer(1.0, process._child.send_signal, [signal.SIGCONT])
    go_on.start()
    np.testing.assert_array_equal(process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, ATTRIBUTES, codestream), STORED)
    go_on.join()


def test_the_second_try_has_what_the_first_has_left_of_the_time(
    process: DecoderProcess, codestream: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def crash(_: DecoderProcess, __: dict[str, Any], ___: bytes, seconds: float) -> None:
        given.append(seconds)
        raise decoder_process._Crashed

    monkeypatch.setattr(DecoderProcess, "_exchange", crash)
    for seconds in (decoder_process.DECODE_SECONDS, 1e-9):
        monkeypatch.setattr(decoder_process, "DECODE_SECONDS", seconds)
        with pytest.raises(NoDecoder, match="crashes"):
            process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, ATTRIBUTES, codestream)
    first, second, of_none_left = given
    assert 0 < second < first
    assert of_none_left == 1e-9


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ("no dtype of pixels", "crashes"),
        ("more pixels", "crashes"),
        ("fewer pixels", "crashes"),
        ("a person's text", "crashes"),
        ("an endless text", "crashes"),
        ("nothing", "crashes"),
        ("half a message", "did not answer within"),
        ("deaf", "did not answer within"),
        ("its environment", "^Clean in the decoder$"),
    ],
)
def test_a_child_that_was_taken_over_gets_no_word_through(
    process: DecoderProcess, monkeypatch: pytest.MonkeyPatch, lie: str, message: str
) -> None:
    monkeypatch.setattr(decoder_process, "__spec__", SimpleNamespace(name="tests.model_code.reading.liar"))
    monkeypatch.setenv("AWS_SECRET", "of the parent")
    process.start()
    if "answer" in message:
        monkeypatch.setattr(decoder_process, "STUCK_SECONDS", 0.2)
    with pytest.raises(DecodingFailed, match=message):
        process.decode(uid.JPEGLosslessSV1, lie, ATTRIBUTES, bytes(3 * PIPE_BYTES))
    assert (process._child is None) == (lie != "its environment")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count another process's time only on the clock")
@pytest.mark.parametrize("lie", ["tireless", "tireless after all was read"])
def test_a_child_that_switches_off_its_timers_is_ended_at_the_bound_of_processor_time(
    process: DecoderProcess, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    monkeypatch.setattr(decoder_process, "__spec__", SimpleNamespace(name="tests.model_code.reading.liar"))
    monkeypatch.setattr(decoder_process, "DECODE_SECONDS", 0.2)
    process.start()
    assert process._child is not None
    pid = process._child.pid
    with pytest.raises(NoDecoder, match=r"needs more than 0\.2 s of processor time"):
        process.decode(uid.JPEGLosslessSV1, lie, ATTRIBUTES, bytes(3 * PIPE_BYTES))
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count another process's time only on the clock")
def test_a_child_that_sleeps_for_longer_than_a_decoder_ever_does_is_ended(
    process: DecoderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_process, "__spec__", SimpleNamespace(name="tests.model_code.reading.liar"))
    monkeypatch.setattr(decoder_process, "ASLEEP_SECONDS", 0.2)
    process.start()
    with pytest.raises(NoDecoder, match=r"neither computed nor answered for 0\.2 s"):
        process.decode(uid.JPEGLosslessSV1, "asleep", ATTRIBUTES, b"codestream")
    assert process._child is None


def test_an_unread_answer_is_not_the_next_frames(
    process: DecoderProcess, codestream: bytes, make_slice: MakeSlice, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(DecoderProcess, "_answer", lambda *_: bytearray(2**60))
        with pytest.raises((MemoryError, OverflowError)):
            process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, ATTRIBUTES, codestream)
    other = pydicom.dcmread(io.BytesIO(make_slice(STORED[::-1].copy(), syntax=uid.JPEGLosslessSV1)))
    theirs = get_frame(other.PixelData, 0, number_of_frames=1)
    decoded = process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, ATTRIBUTES, theirs)
    np.testing.assert_array_equal(decoded, STORED[::-1])


def test_what_the_system_does_not_let_go_of_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "model_code")
    caplog.set_level(logging.WARNING)  # whatever a test before has left
    for _ in range(3):
        decoder_process._warn_once("system calls (the calls of riscv64 are not listed here)")
        decoder_process._warn_once("")
    assert [record.message.partition(": ")[2] for record in caplog.records] == [
        "system calls (the calls of riscv64 are not listed here)"
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="the bound is Linux's")
def test_a_frame_that_asks_for_all_memory_gets_no_more_than_the_bound(
    process: DecoderProcess, codestream: bytes
) -> None:
    def size(peak: str) -> int:
        assert process._child is not None
        status = Path(f"/proc/{process._child.pid}/status").read_text()
        return 1024 * int(status.partition(f"{peak}:")[2].split()[0])

    process.start()
    at_first = size("VmSize")
    bomb = struct.pack("<16L", 2, 64, 64, *[0] * 13) + b"\x81\x00" * (8 * 1024**2)  # 128 bytes for two
    with pytest.raises(DecodingFailed):
        process.decode(uid.RLELossless, "pydicom", ATTRIBUTES, bomb)
    assert size("VmPeak") <= at_first + decoder_process.DECODE_BYTES
    np.testing.assert_array_equal(process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, ATTRIBUTES, codestream), STORED)


def test_a_child_that_cannot_start_is_an_error_of_ours_not_of_the_object(
    process: DecoderProcess, codestream: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="did not start"):
        process.decode(uid.JPEGLosslessSV1, gdcm_plugin.NAME, ATTRIBUTES, codestream)


def test_threads_that_decode_at_once_have_a_child_each_and_later_ones_use_them_again(
    codestream: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = Barrier(2, timeout=60)
    decode = DecoderProcess.decode
    used: list[DecoderProcess] = []

    def decode_together(self: DecoderProcess, *frame: Any) -> Any:
        together.wait()
        used.append(self)
        return decode(self, *frame)

    decoders = Decoders()
    frame = (uid.JPEGLosslessSV1, gdcm_plugin.NAME, ATTRIBUTES, codestream)
    try:
        with ThreadPoolExecutor(2) as threads:
            with monkeypatch.context() as patch:
                patch.setattr(DecoderProcess, "decode", decode_together)
                both = list(threads.map(lambda _: decoders.decode(*frame), range(2)))
            later = threads.submit(decoders.decode, *frame).result()
    finally:
        decoders.close()
    assert all(np.array_equal(pixels, STORED) for pixels in (*both, later))
    assert len({id(one) for one in used}) == 2
    assert all(one._child is None for one in used)
