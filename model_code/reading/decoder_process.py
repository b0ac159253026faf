"""Decodes compressed frames in a child process, because the C++ decoders can end the process they run in.

Fuzzing found that gdcm aborts on some damaged JPEG streams (an exception crosses C code). In the server that would end
every request in flight, and the job with them; here it ends the child, and one object is answered with an error.
``python -m model_code.reading.decoder_process FD FD`` is the child: it reads requests from one pipe, answers on the
other, and can do nothing else (`model_code.reading.sandbox`). Its answers are checked, since a codestream may have
taken it over.
"""

from __future__ import annotations

import atexit
import json
import logging
import math
import os
import queue
import re
import resource
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder

from model_code.backends import allocator
from model_code.reading import channel, gdcm_plugin, sandbox
from model_code.reading.channel import Channel
from model_code.reading.patience import Patience

# Processor time for a frame, the second try after a crash included: 4096 x 4096 of CT take 1.8 s, of pure noise 3.4 s.
# On a busy machine that may take any time on the clock, so the clock only ends a child that does not compute.
DECODE_SECONDS = 5.0
STUCK_SECONDS = 60.0
# A decoder waits only for its processor and its pages: a child that sleeps for longer was taken over.
ASLEEP_SECONDS = 5.0
START_SECONDS = 120.0
# A 4096 x 4096 frame takes at most a third of this; a few bytes of run lengths or tile sizes can ask for all memory.
DECODE_BYTES = 1024**3
# libjpeg continues with grey, or with the next data, and only writes this to stderr.
CORRUPT = b"Corrupt JPEG data"
MUCH = 16 * 1024  # bytes to stderr about one frame; the smallest pipe holds as many
KEPT_BLOCK_BYTES = 4 * 1024**2  # a frame of 1024 x 1024 is half of it; the memory of larger ones is returned
# An answer is a dtype, with the pixels in the next message, or the reason for a rejection.
DTYPES = {name.encode(): np.dtype(name) for name in ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4")}
REFUSED, CORRUPT_REASON, MORE_REASON = re.compile(rb"!(\w{1,64})"), b"corrupt", b"more"
# pydicom's warning that a run-length encoded frame, which states no size, has more pixels than the header says.
MORE = re.compile(r"(\d+) vs\. (\d+) bytes expected")
ANSWER_BYTES = 256
TOO_SLOW = "the decoder needs more than {:g} s of processor time"
# The child's environment: only what Python and the loader read, no address of credentials, for example.
ENVIRONMENT = re.compile(r"(PYTHON|LD_|DYLD_|LC_)\w+|LANG|PATH")

PixelAttributes = dict[str, Any]

log = logging.getLogger("model_code.reading.decoder_process")


class DecodingFailed(Exception):
    """The frame cannot be decoded; the message says why, without any content of the object."""


class NoDecoder(DecodingFailed):
    """The frame's decoder was ended or out of time: by the frame, or because this machine is short of something."""


class _Crashed(Exception):
    """The child ended before it answered, or its answer is malformed."""


class DecoderProcess:
    """The child process, started at first use and again after each crash. One frame at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._pid: int
        self._channel: Channel

    def start(self) -> None:
        """Start the child unless it runs; raises RuntimeError if it does not start."""
        with self._lock:
            self._ensure_started()

    def decode(
        self, syntax: uid.UID, plugin: str, attributes: PixelAttributes, codestream: bytes
    ) -> npt.NDArray[np.integer[Any]]:
        """Return one decoded frame, rows x columns; raises DecodingFailed if the decoder rejects or never ends it."""
        request = {"syntax": syntax, "plugin": plugin, "attributes": attributes}
        spent = 0.0
        with self._lock:
            # A child may also have died from something else, such as the previous frame: try once more with a new one.
            for _ in range(2):
                self._ensure_started()
                started = time.monotonic()
                try:
                    return self._exchange(request, codestream, DECODE_SECONDS - spent)
                except _Crashed:
                    spent += time.monotonic() - started
                if spent >= DECODE_SECONDS:
                    break
        raise NoDecoder("the decoder crashes on it")

    def _exchange(self, request: dict[str, Any], codestream: bytes, seconds: float) -> npt.NDArray[np.integer[Any]]:
        """Have the child decode; it is used again only after it has rejected the frame or returned its pixels.

        It gets ``seconds`` of processor time. Then its own timer ends it; a child that was taken over may switch the
        timer off, and is ended from here.
        """
        patience = Patience(self._pid, processor=seconds, asleep=ASLEEP_SECONDS, clock=STUCK_SECONDS)
        try:
            self._channel.send(json.dumps(request | {"seconds": seconds}).encode(), patience.left)
            self._channel.send(codestream, patience.left)
            return self._answer(request["attributes"], patience)
        except DecodingFailed:
            raise
        except TimeoutError:
            why = _out_of_time(patience)
            self._end()
            raise NoDecoder(why) from None
        except (EOFError, ConnectionError):
            if self._end() == -signal.SIGPROF:
                raise NoDecoder(TOO_SLOW.format(DECODE_SECONDS)) from None
            raise _Crashed from None
        except BaseException:  # the pending answer would be taken for the next frame's
            self._end()
            raise

    def _answer(self, attributes: PixelAttributes, patience: Patience) -> npt.NDArray[np.integer[Any]]:
        """Return the pixels, as many as the attributes say; raises DecodingFailed for a rejected frame."""
        answer = bytes(self._channel.receive(ANSWER_BYTES, patience.left))
        if refused := REFUSED.fullmatch(answer):
            if refused[1] == CORRUPT_REASON:
                raise DecodingFailed("the decoder reports corrupt data in it")
            if refused[1] == MORE_REASON:
                raise DecodingFailed("it has the pixels of two such frames, or more")
            raise DecodingFailed(f"{refused[1].decode('ascii')} in the decoder")
        if answer not in DTYPES:
            raise ConnectionError("The decoder's process answers neither pixels nor a reason.")
        shape = (attributes["rows"], attributes["columns"])
        length = math.prod(shape) * DTYPES[answer].itemsize
        pixels = self._channel.receive(length, patience.left)
        if len(pixels) != length:
            raise ConnectionError(f"The decoder's process answers {len(pixels)} of {length} bytes.")
        return np.frombuffer(pixels, DTYPES[answer]).reshape(shape)

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _ensure_started(self) -> None:
        if self._child is not None and self._child.poll() is None:
            return
        self._end()
        self._channel, descriptors = channel.pair()
        try:
            self._child = subprocess.Popen(  # noqa: S603  (our own module)
                [sys.executable, "-m", __spec__.name, *map(str, descriptors)],
                cwd=Path(__file__).parents[2],  # where `-m` finds this very package, packed in an artifact or not
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if ENVIRONMENT.fullmatch(name)},
                start_new_session=True,  # Ctrl-C is for the parent, which may still have frames to decode
            )
        except OSError:
            self._channel.close()
            raise
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._pid = self._child.pid
        starting = time.monotonic()
        try:
            kept = self._channel.receive(left=lambda: START_SECONDS - (time.monotonic() - starting)).decode()
        except (EOFError, TimeoutError):
            raise RuntimeError(
                f"The decoder process did not start (exit status {self._end()}); its messages are in the log."
            ) from None
        _warn_once(kept)

    def _end(self) -> int | None:
        """End the child; return its exit status, or minus the signal that had ended it."""
        if self._child is None:
            return None
        self._child.kill()
        status = self._child.wait()
        self._child = None
        self._channel.close()
        return status


def _out_of_time(patience: Patience) -> str:
    """Return why a child that did not answer was given up."""
    if patience.is_out_of("processor"):
        return TOO_SLOW.format(DECODE_SECONDS)
    if patience.is_out_of("asleep"):
        return f"the decoder neither computed nor answered for {ASLEEP_SECONDS:g} s"
    return f"the decoder did not answer within {STUCK_SECONDS:g} s"


@cache
def _warn_once(kept: str) -> None:
    """Log what the child could not give up, if anything; once, because all children of this process are alike."""
    if kept:
        log.warning(
            "the decoders' process keeps what it does not need, because the system does not let it go: %s", kept
        )


class Decoders:
    """One child process for each thread that decodes at the same time, started when first needed."""

    def __init__(self) -> None:
        self._idle: queue.LifoQueue[DecoderProcess] = queue.LifoQueue()

    def start(self) -> None:
        """Start the first child unless it runs; raises RuntimeError if it does not start."""
        with self._one() as decoder:
            decoder.start()

    def decode(
        self, syntax: uid.UID, plugin: str, attributes: PixelAttributes, codestream: bytes
    ) -> npt.NDArray[np.integer[Any]]:
        """Decode one frame as ``DecoderProcess.decode`` does, while other threads decode others."""
        with self._one() as decoder:
            return decoder.decode(syntax, plugin, attributes, codestream)

    def close(self) -> None:
        """End the children; none may be decoding."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    @contextmanager
    def _one(self) -> Iterator[DecoderProcess]:
        """Yield a decoder that no other thread uses: the last used one, so that no more start than needed."""
        try:
            decoder = self._idle.get_nowait()
        except queue.Empty:
            decoder = DecoderProcess()
        try:
            yield decoder
        finally:
            self._idle.put(decoder)


SHARED = Decoders()
atexit.register(SHARED.close)


class Complaints:
    """What decoders write to stdout and stderr, kept out of the log because it may quote the object.

    It is read from a pipe, since a full disk must not silence them. Text that does not fit is dropped without waiting.
    """

    def __init__(self) -> None:
        self._read, written = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(written, False)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(written, stream.fileno())
        os.close(written)

    def take(self) -> bytes:
        """Return everything written since the last call."""
        said = b""
        while True:
            try:
                said += os.read(self._read, MUCH)
            except BlockingIOError:
                return said


def _is_corrupt(said: bytes) -> bool:
    """Return whether a decoder reports corrupt data, or wrote so much that the report may have been dropped."""
    return CORRUPT in said or len(said) >= MUCH


def _answer_requests(parent: Channel, complaints: Complaints) -> None:
    """Run the child's loop, which ends when the parent does."""
    while True:
        try:
            request = json.loads(parent.receive())
            codestream = bytes(parent.receive())
        except EOFError:
            return
        # The kernel ends this process as soon as its processor time is up, on every system.
        signal.setitimer(signal.ITIMER_PROF, request["seconds"])
        messages = _answers(request, codestream, complaints)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for message in messages:
            parent.send(message)


def _answers(request: dict[str, Any], codestream: bytes, complaints: Complaints) -> list[bytes]:
    """Return the messages about a frame: its dtype and its pixels, or the reason for a rejection."""
    syntax, plugin, attributes = request["syntax"], request["plugin"], request["attributes"]
    has_more = False
    try:
        if plugin == gdcm_plugin.NAME:
            dtype, pixels = _dtype(attributes), gdcm_plugin.decode_frame(codestream, syntax, attributes)
        else:
            dtype, pixels, has_more = _by_pydicom(syntax, plugin, attributes, codestream)
    except Exception as error:  # decoders raise anything; their texts may quote the object, the type's name cannot
        complaints.take()
        return [b"!" + type(error).__name__.encode()]
    if _is_corrupt(complaints.take()):
        return [b"!" + CORRUPT_REASON]
    return [b"!" + MORE_REASON] if has_more else [dtype.encode(), pixels]


def _dtype(attributes: PixelAttributes) -> str:
    """Return how numpy names the pixels that are asked for."""
    return np.dtype(f"<{'ui'[attributes['pixel_representation']]}{attributes['bits_allocated'] // 8}").str


def _by_pydicom(syntax: str, plugin: str, attributes: PixelAttributes, codestream: bytes) -> tuple[str, bytes, bool]:
    """Return numpy's name of the pixels, the pixels, and whether there are more than the header says."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        pixels, _ = get_decoder(uid.UID(syntax)).as_array(
            encapsulate([codestream]), index=0, raw=True, validate=False, decoding_plugin=plugin, **attributes
        )
    return pixels.dtype.str, pixels.tobytes(), _has_more(warned)


def _has_more(warned: Iterable[warnings.WarningMessage]) -> bool:
    """Return whether pydicom warns of twice the requested pixels or more; it warns of less for a padded segment."""
    found = (MORE.search(str(one.message)) for one in warned)
    return any(int(one[1]) >= 2 * int(one[2]) for one in found if one)


def _bound_memory() -> None:
    """Let this process grow by DECODE_BYTES; a larger request fails here and does not starve other processes."""
    if sys.platform == "linux":  # other systems report no size, or enforce no limit
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = pages * resource.getpagesize() + DECODE_BYTES
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _serve_frames(parent: Channel) -> None:
    """Run the child: enter the sandbox, report what could not be given up, and decode."""
    allocator.keep_freed_memory(KEPT_BLOCK_BYTES)
    _bound_memory()
    complaints = Complaints()
    parent.send("; ".join(sandbox.enter()).encode())
    _answer_requests(parent, complaints)


if __name__ == "__main__":
    _serve_frames(Channel(int(sys.argv[1]), int(sys.argv[2])))
