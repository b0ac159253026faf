"""Processor time a slice, by where it is spent, beyond the bare network."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.memory import descendants
from benchmarks.serving import subjects
from benchmarks.serving.load import post

WARM_UP = 20
SECONDS_OF_BARE = 8.0


def processor_ms(base: Path, bodies: Sequence[bytes], slices: int) -> dict[str, float]:
    """Milliseconds of processor time a slice, by where they are spent; the server's own include the network's.

    Linux reports CPU time in hundredths of a second, so use some hundreds of ``slices``.
    """
    bare = subjects.bare_network("", base, bodies)
    bare.run(SECONDS_OF_BARE / 4)
    began = time.process_time()
    bare.run(SECONDS_OF_BARE)
    network = (time.process_time() - began) / len(bare.rounds[-1].seconds_each)
    with subjects.ours(base) as (process, port, in_flight):
        post(port, bodies, in_flight, math.inf, WARM_UP)
        decoders = descendants(process, "decoder_process")
        servers = {process} | descendants(process, "model_code answer")
        began, server, decoding = time.process_time(), sum(map(spent, servers)), sum(map(spent, decoders))
        post(port, bodies, in_flight, math.inf, slices)
        posting = (time.process_time() - began) / slices
        server = (sum(map(spent, servers)) - server) / slices
        decoding = (sum(map(spent, decoders)) - decoding) / slices
    seconds = {"network alone": network, "server": server, "decoders": decoding, "client": posting}
    return {name: 1000 * one for name, one in seconds.items()}


def spent(pid: int) -> float:
    """Return seconds of processor time of all threads, user's and system's (proc_pid_stat(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
