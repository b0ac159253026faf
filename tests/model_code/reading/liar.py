"""A child that a codestream has taken over: it lies as the request's plugin says."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from model_code.reading.channel import LENGTH, Channel

LIES = {
    "no dtype of pixels": [b"|O8", b"\0" * 96],
    "more pixels": [b"<u2", b"\0" * 4096],
    "fewer pixels": [b"<u2", b"\0" * 2],
    "a person's text": [b"!DOE^JANE 1970"],
    "an endless text": [b"!" + b"A" * 10**6],
    "nothing": [b""],
}


def switch_off() -> None:
    """Leave no timer and no signal that a process can do something about."""
    for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL, signal.ITIMER_VIRTUAL):
        signal.setitimer(timer, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def be_tireless() -> None:
    """Compute without an end."""
    switch_off()
    while True:
        pass


def main(parent: Channel, leaving: int) -> None:
    parent.send(b"")
    while True:
        lie = json.loads(parent.receive())["plugin"]
        if lie == "deaf":
            time.sleep(60)
        if lie == "tireless":
            be_tireless()
        parent.receive()
        if lie == "tireless after all was read":
            be_tireless()
        if lie == "asleep":
            switch_off()
            time.sleep(60)
        if lie == "half a message":
            os.write(leaving, LENGTH.pack(5) + b"<")
            time.sleep(60)
        if lie == "its environment":
            parent.send(b"!Clean" if "AWS_SECRET" not in os.environ else b"!Leaked")
        for message in LIES.get(lie, []):
            parent.send(message)


if __name__ == "__main__":
    main(Channel(int(sys.argv[1]), int(sys.argv[2])), int(sys.argv[2]))
