"""A process that holds more than it may is reported once; one that ends, or cannot be measured, is not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from localcloud.lambdas import memory
from localcloud.lambdas.memory import MemoryLimit, peak_megabytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports how much memory a process has held")


def test_a_process_that_is_gone_has_no_peak():
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert peak_megabytes(done.pid) is None
    assert peak_megabytes(os.getpid())


def test_a_peak_counts_though_it_is_over(monkeypatch):
    peaks = iter([100, 300, 300])
    monkeypatch.setattr(memory, "peak_megabytes", lambda _pid: next(peaks, 300))
    exceeded = threading.Event()
    limit = MemoryLimit(1, 256, exceeded.set)
    limit.start()
    assert exceeded.wait(10)
    assert limit.exceeded
    assert limit.look() == 256, "never more than it may"


def test_a_process_within_its_memory_is_left_alone(monkeypatch):
    looked = threading.Event()

    def peak(_pid):
        looked.set()
        return 256

    monkeypatch.setattr(memory, "peak_megabytes", peak)
    limit = MemoryLimit(1, 256, lambda: pytest.fail("it is within its memory"))
    limit.start()
    assert looked.wait(10)
    limit.stop()
    assert (limit.exceeded, limit.look()) == (False, 256)
