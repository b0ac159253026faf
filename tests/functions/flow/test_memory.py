"""Sixteen readers of the worst outputs at once fit the memory of collect and sweep, beside the rows of a chunk.

The sum, in MiB: an idle function after its imports 150, sixteen readers at most 300 (seen here), 500 rows
with the largest results that a row can hold 300 (a row of 400 KB takes 600 KB in Python). Collect and sweep have 1,024.
"""

from __future__ import annotations

import json
import subprocess
import sys

from infra.transform import COLLECT_MEMORY_MB

FUNCTION_MIB, ROWS_MIB, READERS_MIB = 150, 300, 300

CHILD = """
import hashlib, json, resource, sys
from functions.domain import prediction
from functions.flow import collecting
from tests.fakes.dicom import ct
from tests.fakes.world import World, answer

def worst(body):
    values = [{"a": {}} for _ in range((prediction.MOST_VALUES - 100) // 3)]  # "[{", "{" and "," of each
    document = answer(body, Extra=values, Pad="PAD")
    pad = prediction.MOST_BYTES - len(document) - 1
    return document.replace(b"PAD", b"x" * pad + "\\U0001d4ae".encode()) [: prediction.MOST_BYTES + longer]

longer = int(sys.argv[1])
world = World()
world.set_champion()
for number in range(64):
    world.ingesting.take(world.upload(f"{number}.dcm", ct(SOPInstanceUID=f"1.2.{number}")))
(name,) = world.dispatching.run()
world.sagemaker.end(name, (lambda body: b"[" + b"," * 2**20) if longer else worst)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
outcome = world.collecting.collect(name)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"completed": outcome.completed, "retried": outcome.retried, "mib": (peak - before) // 1024}))
"""


def collected(longer: int) -> dict[str, int]:
    """Collect 64 such outputs in a separate process; return its report."""
    done = subprocess.run([sys.executable, "-c", CHILD, str(longer)], capture_output=True, text=True, check=True)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_largest_answers_that_are_read_fit_collects_memory_sixteen_at_once() -> None:
    found = collected(0)
    assert found["completed"] == 64, "the worst answers are answers"
    assert found["mib"] <= READERS_MIB
    assert FUNCTION_MIB + ROWS_MIB + READERS_MIB < COLLECT_MEMORY_MB


def test_malformed_answers_take_less() -> None:
    found = collected(1)
    assert found["retried"] == 64
    assert found["mib"] <= READERS_MIB
