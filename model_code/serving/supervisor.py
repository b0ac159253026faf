"""Keeps the process that has the model running, and finds the object that ends or holds it.

``serve`` is two processes. This one, the container's first, listens and keeps each request until it is answered. Its
child (`model_code.serving.worker`) has the model and runs all code that foreign bytes reach. When the child ends, or is
ended because an answer took too long, another is started. The new child reads a plain slice first; if that ends it, the
container exits, since no object is to blame. Otherwise it gets the requests that were in flight again, one at a time.
An object that was in flight at two ends, the second time alone, is answered with an error. Soon after that, an object
that alone ends the child is answered with an error at once. All others only wait.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from model_code.errors import InstanceCode, ModelCodeError
from model_code.reading.channel import LENGTH
from model_code.serving.plain_slice import plain_slice

START_SECONDS = 300.0  # until a model is loaded
END_SECONDS = 30.0  # until a process that was sent SIGKILL is gone
LAST_WORDS_SECONDS = 1.0  # a process that a script left behind may keep the connection open
# After an end, the requests in flight and so many more are sent one at a time. Objects that end the child often come
# several together, and one that is alone the first time needs one restart less to be found.
CAREFUL = 16
REMEMBERED = 1000  # verdicts: a sender that gave up before an object's verdict sends it again

log = logging.getLogger("model_code.serving.supervisor")


@dataclass(frozen=True)
class Request:
    """What was posted: the headers for a model's script, the body, and the id of an endpoint's request."""

    content_type: str
    accept: str
    body: bytes
    inference_id: str = ""


@dataclass(frozen=True)
class Reply:
    """The answer: an HTTP status, and JSON."""

    status: int
    body: bytes


class ChildEnded(Exception):
    """The child ended before it answered. ``alone``: with no other request in flight; ``held``: it took too long."""

    def __init__(self, *, alone: bool) -> None:
        super().__init__("the model's process ended")
        self.alone = alone
        self.held = False


class Child:
    """One process with the model, from its start to its end."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self._in_flight: dict[int, asyncio.Future[Reply]] = {}
        self._numbers = itertools.count()
        self.ready = False
        self.workers = 0
        self.ended: asyncio.Task[str]

    @classmethod
    async def start(cls, command: Sequence[str]) -> Child:
        """Start a child and wait until its model is loaded; raises ModelCodeError if it ends or takes too long."""
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024**2)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command,
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # signals for the container's group are for the supervisor
            )
        child = cls(process, *await asyncio.open_connection(sock=ours))
        try:
            async with asyncio.timeout(START_SECONDS):
                child.workers = json.loads(await child._message())["Workers"]
        except (TimeoutError, EOFError, ConnectionError):
            raise ModelCodeError(f"The process that loads the model {await child.end()} before it was ready.") from None
        except BaseException:
            await child.end()
            raise
        child.ended = asyncio.create_task(child._watch())
        return child

    async def ask(self, request: Request, seconds: float) -> Reply:
        """Return the answer to a request; raises ChildEnded. Without an answer for ``seconds`` the child is ended."""
        number = next(self._numbers)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._in_flight[number] = answer
        headers = {
            "Number": number,
            "ContentType": request.content_type,
            "Accept": request.accept,
            "InferenceId": request.inference_id,
        }
        for message in (json.dumps(headers).encode(), request.body):
            self._writer.write(LENGTH.pack(len(message)))
            self._writer.write(message)
        try:
            answered, _ = await asyncio.wait({answer}, timeout=seconds)
            if not answered:
                log.error("no answer within %g s: the model's process is ended", seconds)
                self.kill()
            try:
                return await answer
            except ChildEnded as end:
                end.held = not answered
                raise
        finally:
            del self._in_flight[number]

    def kill(self) -> None:
        """Send SIGKILL to the child and to everything in its process group."""
        self.ready = False
        with suppress(ProcessLookupError, PermissionError):  # macOS forbids it if there are only zombies
            os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> str:
        """Kill the child and return in words how it ended; raises ModelCodeError if SIGKILL does not end it."""
        self.kill()
        try:
            async with asyncio.timeout(END_SECONDS):
                status = await self._process.wait()
        except TimeoutError:
            raise ModelCodeError("The model's process does not end at SIGKILL: the machine is in trouble.") from None
        self._writer.close()
        with suppress(OSError):  # the connection broke when the process ended
            await self._writer.wait_closed()
        _reap_orphans()
        return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"

    async def _watch(self) -> str:
        """Pass answers on until the process ends; then fail the rest with ChildEnded. Returns how it ended."""
        listening = asyncio.create_task(self._listen())
        ending = asyncio.create_task(self._process.wait())
        await asyncio.wait({listening, ending}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({listening}, timeout=LAST_WORDS_SECONDS)
        listening.cancel()
        how = await self.end()
        left = [answer for answer in self._in_flight.values() if not answer.done()]
        for answer in left:
            answer.set_exception(ChildEnded(alone=len(left) == 1))
        return f"{how} with {len(left)} requests in flight"

    async def _listen(self) -> None:
        """Pass answers on until the child closes the connection or sends a malformed message."""
        with suppress(EOFError, ConnectionError, ValueError, KeyError, TypeError):
            while True:
                head, body = json.loads(await self._message()), await self._message()
                answer = self._in_flight.get(head["Number"])
                if answer and not answer.done():
                    answer.set_result(Reply(int(head["Status"]), body))

    async def _message(self) -> bytes:
        (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
        return await self._reader.readexactly(length)


class Supervisor:
    """Answers requests with a child that may be replaced at any time."""

    def __init__(self, command: Sequence[str], model_dir: Path, answer_seconds: float) -> None:
        """Prepare to run ``command``, which answers each request with the model in ``model_dir`` in that time."""
        self._command, self._model_dir, self._answer_seconds = command, model_dir, answer_seconds
        self._changed = asyncio.Condition()
        self._in_flight = self._careful = 0
        self._verdicts: dict[str, Reply] = {}
        self._child: Child

    async def start(self) -> None:
        """Start the first child; raises ModelCodeError if it does not start."""
        self._child = await Child.start(self._command)
        self._child.ready = True
        self.workers = self._child.workers
        # At most twice as many bodies as workers are in memory; other requests wait unread, on the sender's side.
        self.concurrency = 2 * self.workers
        self.slots = asyncio.Semaphore(self.concurrency)

    async def keep_running(self) -> None:
        """Replace each child that ends; raises ModelCodeError if a new one is of no use, and never returns."""
        while True:
            how = await asyncio.shield(self._child.ended)
            log.error("the model's process %s; another one is started", how)
            self._careful = CAREFUL + self.concurrency
            self._child = await Child.start(self._command)
            try:
                await self._child.ask(Request("application/dicom", "application/json", plain_slice()), START_SECONDS)
            except ChildEnded:
                raise ModelCodeError("The model's process ends at a plain slice, too: it can read nothing.") from None
            self._child.ready = True
            async with self._changed:
                self._changed.notify_all()

    async def answer(self, request: Request) -> Reply:
        """Return the child's answer, or the error document of an object that ends or holds each child."""
        ends, verdict = 0, None
        while True:
            async with self._turn() as child:
                if known := self._verdict(request.body, verdict):
                    return known
                # After a first verdict one end alone is enough.
                enough = 1 if self._careful and self._verdicts else 2
                try:
                    reply = await child.ask(request, self._answer_seconds)
                except ChildEnded as end:
                    log.warning("the model's process ended before it answered this request")
                    ends += 1
                    if end.alone and ends >= enough:
                        verdict = InstanceCode.HOLDS_CONTAINER if end.held else InstanceCode.KILLS_CONTAINER
                else:
                    self._careful = max(0, self._careful - 1)
                    return reply

    async def stop(self) -> None:
        """End the child."""
        await self._child.end()
        await self._child.ended

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[Child]:
        """Yield a ready child; while requests are sent carefully, one without any other request."""

        def may_begin() -> bool:
            return self._child.ready and self._in_flight < (1 if self._careful else self.concurrency)

        async with self._changed:
            await self._changed.wait_for(may_begin)
            self._in_flight += 1
        try:
            yield self._child
        finally:
            self._in_flight -= 1
            async with self._changed:
                self._changed.notify_all()

    def _verdict(self, body: bytes, code: InstanceCode | None) -> Reply | None:
        """Return the error document of an object with this or an earlier verdict, None without one."""
        if code is None and not self._verdicts:
            return None  # a hash costs a slice half a millisecond
        digest = hashlib.sha256(body).hexdigest()
        if code is not None:
            log.error("the object with the SHA-256 %s is answered with %s", digest, code)
            self._verdicts = dict(list(self._verdicts.items())[-REMEMBERED + 1 :])
            self._verdicts[digest] = Reply(200, self._document(digest, code))
        return self._verdicts.get(digest)

    def _document(self, digest: str, code: InstanceCode) -> bytes:
        """Return the prediction/2 document with the supervisor's error."""
        did = {
            InstanceCode.KILLS_CONTAINER: "The process that has the model ended",
            InstanceCode.HOLDS_CONTAINER: f"No answer came within {self._answer_seconds:g} s",
        }[code]
        document = {
            "Schema": "prediction/2",
            "SOPInstanceUID": "",
            "ContentSHA256": digest,
            "Error": {"Code": code, "Message": f"{did} while it read this object and no other."},
        }
        weights = self._model_dir / "model.pth"
        if weights.is_file():
            document["Model"] = {"WeightsSHA256": hashlib.sha256(weights.read_bytes()).hexdigest()}
        return json.dumps(document, separators=(",", ":")).encode()


def _reap_orphans() -> None:
    """Reap the processes that the child left behind, if this is the container's first process."""
    if os.getpid() == 1:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
