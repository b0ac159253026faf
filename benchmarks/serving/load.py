"""Keeps a server or a function busy for some seconds and counts what it answers."""

from __future__ import annotations

import http.client
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass


@dataclass(frozen=True)
class Round:
    """Answers of one round: images a second, and the seconds of each answer."""

    images_per_second: float
    seconds_each: list[float]


def keep_busy(
    work: Callable[[int], object], threads: int, seconds: float, start: Callable[[], None], most: int = sys.maxsize
) -> Round:
    """Call ``work`` with 0, 1, 2, ... on so many threads until the seconds are over or the most calls are made.

    What has begun is finished. ``start`` is called first on each thread.
    """
    numbers = iter(range(most))
    each: list[float] = []
    started = time.perf_counter()

    def repeat() -> None:
        start()
        while (begun := time.perf_counter()) - started < seconds and (number := next(numbers, None)) is not None:
            work(number)
            each.append(time.perf_counter() - begun)

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(repeat) for _ in range(threads)]:
            future.result()
    return Round(len(each) / (time.perf_counter() - started), each)


def post(port: int, bodies: Sequence[bytes], in_flight: int, seconds: float, most: int = sys.maxsize) -> Round:
    """Keep so many posts in flight to /invocations on loopback, one DICOM object each; answers must be predictions."""
    connections = threading.local()

    def connect() -> None:
        # The standard library's client, because its work is done on the cores that are measured.
        connections.own = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def answer(number: int) -> None:
        connection: http.client.HTTPConnection = connections.own
        body = bodies[number % len(bodies)]
        connection.request("POST", "/invocations", body, {"Content-Type": "application/dicom"})
        response = connection.getresponse()
        text = response.read()
        if response.status != http.HTTPStatus.OK or b'"Error"' in text:
            raise RuntimeError(f"answered {response.status}: {text.decode(errors='replace')[:500]}")

    return keep_busy(answer, in_flight, seconds, connect, most)
