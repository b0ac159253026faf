"""The process that has the model: it answers the requests that its supervisor sends, and ends when that does.

``python -m model_code answer FD`` is this process. A request is two messages (`model_code.reading.channel`), its number
with the headers as JSON and its body; an answer is its number and status, and its body. Requests are decoded while
others are computed. Each prediction runs on one thread, and there are as many of those as cores: on a CPU two
single-threaded predictions are faster than one after the other on two threads each, and an answer does not depend on
what else runs.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from model_code.backends import gpu
from model_code.backends.processor import CORES
from model_code.errors import NotAcceptable, UnsupportedMediaType
from model_code.reading.channel import Channel
from model_code.serving.script_loader import Script, load_script

# A thread decodes some 150 slices a second, in the time of half a core; a core predicts 12 (512 pixels) to 60 (224).
# Two at least: while one waits for a frame that takes as long as it may, the other goes on with its neighbours.
DECODING_THREADS = max(2, CORES // 2)
PR_SET_PDEATHSIG = 1  # from linux/prctl.h
OOM_SCORE = "500"  # of memory that is short the kernel takes this process or a decoder, and spares who restarts it

log = logging.getLogger("model_code.serving.worker")


class Predictor:
    """The loaded model with its threads: ``take`` begins a request, whose answer goes to the supervisor."""

    def __init__(self, model_dir: Path, supervisor: Channel) -> None:
        """Load the script and, on a thread that will predict, the model; raises what they raise."""
        self.workers = gpu.threads()
        self._supervisor = supervisor
        self._answering = threading.Lock()
        self._decoding = ThreadPoolExecutor(CORES if gpu.is_here() else DECODING_THREADS, "decode")
        # OpenMP's thread count belongs to each calling thread, so every worker sets its own.
        self._predicting = ThreadPoolExecutor(self.workers, "predict", torch.set_num_threads, (1,))
        self._script: Script = load_script(model_dir)
        self._model: Any = self._predicting.submit(self._script.model_fn, str(model_dir)).result()

    def take(self, request: dict[str, Any], body: bytes) -> None:
        """Have a request decoded, then predicted, then answered."""
        self._decoding.submit(self._decode, request, body)

    def _decode(self, request: dict[str, Any], body: bytes) -> None:
        try:
            decoded = self._script.input_fn(body, request["ContentType"])
        except BaseException as error:  # whatever a script raises, sys.exit() too, is an answer
            self._fail(request, error)
        else:
            self._predicting.submit(self._predict, request, decoded)

    def _predict(self, request: dict[str, Any], decoded: Any) -> None:
        try:
            predicted = self._script.predict_fn(decoded, self._model)
            answer = bytes(self._script.output_fn(predicted, request["Accept"]))
        except BaseException as error:  # as above
            self._fail(request, error)
        else:
            self._send(request, 200, answer)

    def _fail(self, request: dict[str, Any], error: BaseException) -> None:
        if isinstance(error, UnsupportedMediaType):
            status, code, message = 415, "UnsupportedMediaType", str(error)
        elif isinstance(error, NotAcceptable):
            status, code, message = 406, "NotAcceptable", str(error)
        else:
            log.error("a request failed: %s", _without_text(error))
            status, code, message = 500, "InternalError", "The server failed; its log says why."
        self._send(request, status, json.dumps({"Error": {"Code": code, "Message": message}}).encode())

    def _send(self, request: dict[str, Any], status: int, answer: bytes) -> None:
        with self._answering:
            self._supervisor.send(json.dumps({"Number": request["Number"], "Status": status}).encode())
            self._supervisor.send(answer)


def answer(model_dir: Path, descriptor: int) -> None:
    """Load the model, say how many predictions run at once, and answer requests until the supervisor is gone."""
    _end_with_the_supervisor()
    os.set_inheritable(descriptor, False)  # else a program that a script starts would hide this process's end
    supervisor = Channel(descriptor, os.dup(descriptor))
    predictor = Predictor(model_dir, supervisor)
    supervisor.send(json.dumps({"Workers": predictor.workers}).encode())
    while True:
        try:
            request, body = json.loads(supervisor.receive()), bytes(supervisor.receive())
        except (EOFError, ConnectionError):
            os._exit(0)  # nobody waits for what the threads still do
        predictor.take(request, body)


def _end_with_the_supervisor() -> None:
    """Have the kernel end this process when the supervisor dies, whatever this one does then (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):  # a system may forbid it
            Path("/proc/self/oom_score_adj").write_text(OOM_SCORE, encoding="ascii")


def _without_text(error: BaseException) -> str:
    """The type and the places of an error and of what caused it: the texts may quote the object that was posted."""
    frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    told = f"{type(error).__name__} at {' > '.join(frames)}"
    earlier = error.__cause__ or error.__context__
    return f"{told}; after {_without_text(earlier)}" if earlier else told
