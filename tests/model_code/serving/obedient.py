"""A model's process without a model, for tests of the supervisor; ``obedient.py FOLDER FD`` does what requests say.

A body is words, such as ``end`` or ``hold``. They are done at once, or after ``slow`` has let neighbours arrive, or
only until a file of the given name is in FOLDER (``once NAME``). FOLDER/starts has the process id of each start.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from model_code.reading.channel import LENGTH, Channel
from model_code.serving.plain_slice import plain_slice

WORKERS = 4
SLOW_SECONDS = 0.3


def _leave_a_process_behind() -> None:
    if os.fork() == 0:
        time.sleep(600)
    os.kill(os.getpid(), signal.SIGKILL)


def _babble() -> None:
    os.write(int(sys.argv[2]), 2 * (LENGTH.pack(3) + b"bad"))
    time.sleep(600)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(600)


def _break() -> None:
    Path(sys.argv[1], "broken").touch()


DEEDS: dict[str, Callable[[], object]] = {
    "slow": lambda: time.sleep(SLOW_SECONDS),
    "breaks": _break,
    "end": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(0),
    "fork": _leave_a_process_behind,
    "babble": _babble,
    "hold": lambda: time.sleep(600),
    "stop": _stop,
}


def main() -> None:
    """Do what each request says, and answer it with its body."""
    folder, descriptor = Path(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(descriptor, False)
    with (folder / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    if (folder / "broken").exists():
        sys.exit(3)
    supervisor, answering = Channel(descriptor, os.dup(descriptor)), threading.Lock()
    supervisor.send(json.dumps({"Workers": WORKERS}).encode())
    while True:
        try:
            head, body = json.loads(supervisor.receive()), bytes(supervisor.receive())
        except EOFError:
            return
        threading.Thread(target=_obey, args=(folder, supervisor, answering, head["Number"], body), daemon=True).start()


def _obey(folder: Path, supervisor: Channel, answering: threading.Lock, number: int, body: bytes) -> None:
    words = ["plain"] if body == plain_slice() else body.decode().split()
    if "plain" in words and (folder / "poor").exists():
        words = ["end"]
    if "once" in words:
        mark = folder / words[words.index("once") + 1]
        if mark.exists():
            words = ["fine"]
        mark.touch()
    if "slow" in words:
        time.sleep(SLOW_SECONDS)
    for word in words:
        DEEDS.get(word, lambda: None)()
    with answering:
        supervisor.send(json.dumps({"Number": number, "Status": 200}).encode())
        supervisor.send(body)


if __name__ == "__main__":
    main()
