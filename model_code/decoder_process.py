"""Decodes compressed frames in a child process, because the C++ decoders can end the process they run in.

Fuzzing found that gdcm aborts on some damaged JPEG streams (an exception crosses C code). In the server that would end
every request in flight, and the job with them; here it ends the child, and one object is answered with an error.
``python -m model_code.decoder_process FD FD`` is the child: it reads requests from one pipe, answers on the other.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import queue
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder

from model_code import allocator, gdcm_plugin

# A 4096 x 4096 frame decodes in about two seconds; a decoder that takes longer than this hangs.
DECODE_SECONDS = 5.0
START_SECONDS = 120.0
# A 4096 x 4096 frame takes a third of this at most; a few bytes of run lengths or tile sizes can ask for all there is.
DECODE_BYTES = 1024**3
# libjpeg goes on with grey, or with what comes next, and only writes this to stderr.
CORRUPT = b"Corrupt JPEG data"
MUCH = 16 * 1024  # bytes to stderr about one frame; the smallest pipe holds as many
KEPT_BLOCK_BYTES = 4 * 1024**2  # a frame of 1024 x 1024 is half of it; what larger ones take is returned
PIPE_BYTES = 1024**2  # a slice fits in, so that neither process has to wake the other for each 64 KB of it
READY = b"ready"

Form = dict[str, Any]


class DecodingFailed(Exception):
    """The frame cannot be decoded; the message says why, without a word of the object's content."""


class DecoderProcess:
    """The child process, started at first use and again after each crash. One frame at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._requests: Connection
        self._answers: Connection

    def start(self) -> None:
        """Start the child unless it runs; raises RuntimeError when it does not come up."""
        with self._lock:
            self._ensure_started()

    def decode(self, syntax: uid.UID, plugin: str, form: Form, codestream: bytes) -> npt.NDArray[np.integer[Any]]:
        """Decode one frame to rows x columns; raises DecodingFailed for what the decoder rejects or crashes on."""
        request = json.dumps({"syntax": syntax, "plugin": plugin, "form": form}).encode()
        with self._lock:
            # A child may also have died of something else, such as the system's lack of memory: once more, afresh.
            for _ in range(2):
                self._ensure_started()
                try:
                    return self._exchange(request, codestream).reshape(form["rows"], form["columns"])
                except (EOFError, OSError):
                    self._end()
        raise DecodingFailed("the decoder crashes on it")

    def _exchange(self, request: bytes, codestream: bytes) -> npt.NDArray[np.integer[Any]]:
        self._requests.send_bytes(request)
        self._requests.send_bytes(codestream)
        if not self._answers.poll(DECODE_SECONDS):
            self._end()
            raise DecodingFailed(f"the decoder took longer than {DECODE_SECONDS:.0f} s")
        header = json.loads(self._answers.recv_bytes())
        if "error" in header:
            raise DecodingFailed(header["error"])
        return np.frombuffer(self._answers.recv_bytes(), np.dtype(header["dtype"]))

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _ensure_started(self) -> None:
        if self._child is not None and self._child.poll() is None:
            return
        self._end()
        child_requests, self._requests = _pipe()
        self._answers, child_answers = _pipe()
        descriptors = (child_requests.fileno(), child_answers.fileno())
        self._child = subprocess.Popen(  # noqa: S603  (our own module)
            [sys.executable, "-m", __spec__.name, *map(str, descriptors)],
            cwd=Path(__file__).parents[1],  # where `-m` finds this very package, packed in an artifact or not
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the parent, which may still have frames to decode
        )
        child_requests.close()
        child_answers.close()
        try:
            if self._answers.poll(START_SECONDS) and self._answers.recv_bytes() == READY:
                return
        except (EOFError, OSError):
            pass
        status = self._child.poll()
        self._end()
        raise RuntimeError(f"The decoder process did not start (exit status {status}); its messages are in the log.")

    def _end(self) -> None:
        if self._child is None:
            return
        self._child.kill()
        self._child.wait()
        self._child = None
        self._requests.close()
        self._answers.close()


def _pipe() -> tuple[Connection, Connection]:
    """Where to read and where to write, with room for PIPE_BYTES where the system grants it."""
    reading, writing = Pipe(duplex=False)
    if sys.platform == "linux":
        with suppress(OSError):  # a user's pipes may together be too large: then it goes in more pieces
            fcntl.fcntl(writing.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reading, writing


class Decoders:
    """As many child processes as threads decode at once, each started when it is first needed."""

    def __init__(self) -> None:
        self._idle: queue.LifoQueue[DecoderProcess] = queue.LifoQueue()

    def start(self) -> None:
        """Start the first child unless it runs; raises RuntimeError when it does not come up."""
        with self._one() as decoder:
            decoder.start()

    def decode(self, syntax: uid.UID, plugin: str, form: Form, codestream: bytes) -> npt.NDArray[np.integer[Any]]:
        """Decode one frame as ``DecoderProcess.decode`` does, beside others that other threads decode."""
        with self._one() as decoder:
            return decoder.decode(syntax, plugin, form, codestream)

    def close(self) -> None:
        """End the children; none may be decoding."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    @contextmanager
    def _one(self) -> Iterator[DecoderProcess]:
        """A decoder that no other thread has: the one used last, so that no more start than are needed."""
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
    """What decoders write to stderr, kept out of the log: line by line, and perhaps with what stands in the object.

    In a pipe, since a full disk must not make them silent. What does not fit in is not written, and nobody waits.
    """

    def __init__(self) -> None:
        self._read, written = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(written, False)
        os.dup2(written, sys.stderr.fileno())
        os.close(written)

    def take(self) -> bytes:
        """All that was written since the last time."""
        said = b""
        while True:
            try:
                said += os.read(self._read, MUCH)
            except BlockingIOError:
                return said


def _is_corrupt(said: bytes) -> bool:
    """Whether a decoder tells of corrupt data, or so much that this may not have found room."""
    return CORRUPT in said or len(said) >= MUCH


def _answer_requests(requests: Connection, answers: Connection, complaints: Complaints) -> None:
    """The child's loop: it ends when the parent does."""
    answers.send_bytes(READY)
    while True:
        try:
            request = json.loads(requests.recv_bytes())
            codestream = requests.recv_bytes()
        except EOFError:
            return
        try:
            pixels, _ = get_decoder(uid.UID(request["syntax"])).as_array(
                encapsulate([codestream]),
                index=0,
                raw=True,
                validate=False,
                decoding_plugin=request["plugin"],
                **request["form"],
            )
        except Exception as error:  # decoders raise anything; their texts may quote the object, ours does not
            complaints.take()
            answers.send_bytes(json.dumps({"error": f"{type(error).__name__} in the decoder"}).encode())
            continue
        if _is_corrupt(complaints.take()):
            answers.send_bytes(json.dumps({"error": "the decoder tells of corrupt data in it"}).encode())
            continue
        answers.send_bytes(json.dumps({"dtype": pixels.dtype.str}).encode())
        answers.send_bytes(pixels.tobytes())


def _bound_memory() -> None:
    """Let this process grow by DECODE_BYTES: what asks for more fails here, and starves nobody beside it."""
    if sys.platform == "linux":  # elsewhere the system tells no size, or keeps no limit
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = pages * resource.getpagesize() + DECODE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


if __name__ == "__main__":
    allocator.keep_freed_memory(KEPT_BLOCK_BYTES)
    gdcm_plugin.register()
    _bound_memory()
    _answer_requests(Connection(int(sys.argv[1])), Connection(int(sys.argv[2])), Complaints())
