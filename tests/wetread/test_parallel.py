"""Every item is tried, answers and failures keep the items' order, and Ctrl-C ends them all."""

import threading
import time

import pytest

from tests.fakes.wire import client_error
from wetread.parallel import each


def test_one_failure_stops_no_other() -> None:
    def work(number: int) -> int:
        time.sleep(0.001 * (5 - number))
        if number == 1:
            raise client_error("AccessDenied", "no")
        if number == 2:
            raise FileNotFoundError(2, "No such file")
        return number * number

    steps: list[int] = []
    done, failed = each(work, range(5), lambda: steps.append(1))
    assert done == [(0, 0), (3, 9), (4, 16)]
    assert [number for number, _ in failed] == [1, 2]
    assert "does not allow" in failed[0][1]
    assert "No such file" in failed[1][1]
    assert len(steps) == 5


def test_a_mistake_of_our_own_is_no_failure_of_an_item() -> None:
    with pytest.raises(ZeroDivisionError):
        each(lambda number: 1 // number, [0], lambda: None)


def test_an_interruption_starts_nothing_more() -> None:
    begun, release = [], threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number:
            release.wait(5)

    def interrupt() -> None:
        release.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        each(work, range(1000), interrupt)
    assert len(begun) < 1000
