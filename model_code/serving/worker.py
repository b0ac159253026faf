"""The process that has the model: it answers the requests of its supervisor and ends with it.

``python -m model_code answer FD`` is this process. A request is two messages (`model_code.reading.channel`), its number
with the headers as JSON, and its body; an answer is its number and status, and its body. Requests are decoded while
others are computed. Each prediction runs on one thread, and there are as many threads as cores: on a CPU two
single-threaded predictions at once are faster than two in turn on two threads, and an answer does not depend on what
else runs.
"""

from __future__ import annotations

import contextvars
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
from model_code.serving.request_log import current_request, log_refusal
from model_code.serving.script_loader import Script, load_script

# A thread decodes some 150 slices a second, in the time of half a core; a core predicts 12 (512 pixels) to 60 (224).
# At least two: while one waits for a slow frame, the other continues with its neighbours.
DECODING_THREADS = max(2, CORES // 2)
PR_SET_PDEATHSIG = 1  # from linux/prctl.h
OOM_SCORE = "500"  # if memory is short, the kernel ends this process or a decoder and spares the supervisor

log = logging.getLogger("model_code.serving.worker")


class Predictor:
    """The loaded model with its threads: ``take`` begins a request, and the supervisor gets the answer."""

    def __init__(self, model_dir: Path, supervisor: Channel) -> None:
        """Load the script and, on a predicting thread, the model; their exceptions propagate."""
        self.workers = gpu.threads()
        self._supervisor = supervisor
        self._answering = threading.Lock()
        self._decoding = ThreadPoolExecutor(CORES if gpu.is_available() else DECODING_THREADS, "decode")
        # OpenMP's thread count belongs to each calling thread, so every worker sets its own.
        self._predicting = ThreadPoolExecutor(self.workers, "predict", torch.set_num_threads, (1,))
        self._script: Script = load_script(model_dir)
        self._model: Any = self._predicting.submit(self._script.model_fn, str(model_dir)).result()

    def take(self, request: dict[str, Any], body: bytes) -> None:
        """Have a request decoded, then predicted, then answered, in threads whose log lines name it."""
        with current_request(request["InferenceId"]) as identity:
            identity.content_is(body)
            self._decoding.submit(contextvars.copy_context().run, self._decode, request, body)

    def _decode(self, request: dict[str, Any], body: bytes) -> None:
        try:
            decoded = self._script.input_fn(body, request["ContentType"])
        except BaseException as error:  # whatever a script raises, including sys.exit(), gets an answer
            self._fail(request, error)
        else:
            self._predicting.submit(contextvars.copy_context().run, self._predict, request, decoded)

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
            if gpu.is_lost():
                # The supervisor starts another process, which has the GPU anew, and sends it this request again.
                log.error("the GPU fails at every further call of this process, which ends")
                os._exit(1)
            status, code, message = 500, "InternalError", "The server failed; its log says why."
        if status < 500:
            log_refusal(status, code)
        self._send(request, status, json.dumps({"Error": {"Code": code, "Message": message}}).encode())

    def _send(self, request: dict[str, Any], status: int, answer: bytes) -> None:
        with self._answering:
            self._supervisor.send(json.dumps({"Number": request["Number"], "Status": status}).encode())
            self._supervisor.send(answer)


def answer(model_dir: Path, descriptor: int) -> None:
    """Load the model, report how many predictions run at once, and answer requests until the supervisor ends."""
    _end_with_the_supervisor()
    os.set_inheritable(descriptor, False)  # otherwise a program that a script starts would hide this process's end
    supervisor = Channel(descriptor, os.dup(descriptor))
    predictor = Predictor(model_dir, supervisor)
    log.info("predictions are computed on %s", gpu.device())
    supervisor.send(json.dumps({"Workers": predictor.workers}).encode())
    while True:
        try:
            request, body = json.loads(supervisor.receive()), bytes(supervisor.receive())
        except (EOFError, ConnectionError):
            os._exit(0)  # no process waits for the threads' results
        predictor.take(request, body)


def _end_with_the_supervisor() -> None:
    """Have the kernel end this process when the supervisor dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):  # a system may forbid it
            Path("/proc/self/oom_score_adj").write_text(OOM_SCORE, encoding="ascii")


def _without_text(error: BaseException) -> str:
    """Return the types and locations of an error and its causes, without texts: these may quote the posted object."""
    frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    located = f"{type(error).__name__} at {' > '.join(frames)}"
    earlier = error.__cause__ or error.__context__
    return f"{located}; after {_without_text(earlier)}" if earlier else located
