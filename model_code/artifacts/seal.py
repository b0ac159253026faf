"""The seal of a trained model: the digest of its files, as numbers that a training job reports as metrics.

Unlike a processing job, a training job has no ExitMessage. It can report through SageMaker only by metrics, which no
object in S3 can replace. A metric is a 32-bit float, which holds a whole number of 24 bits exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from model_code.artifacts.artifact import sha256_of

NUMBERS, DIGITS = 6, 6  # hex digits of the digest in each number: 144 bits of it in all
BETWEEN = "-"


def seal_of(model_dir: Path) -> tuple[int, ...]:
    """Return the seal of a model folder; packing and unpacking do not change it.

    Every file counts by name and bytes, so an added file changes it too.
    """
    files = sorted(path for path in model_dir.rglob("*") if path.is_file())
    lines = [f"{sha256_of(path)} {path.relative_to(model_dir).as_posix()}\n" for path in files]
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    return tuple(int(digest[DIGITS * at : DIGITS * (at + 1)], 16) for at in range(NUMBERS))


def line(seal: Sequence[int]) -> str:
    """Return the log line in which SageMaker finds the metrics."""
    return " ".join(f"model_digest_{at}={number}" for at, number in enumerate(seal, 1))


def parse(text: str) -> tuple[int, ...]:
    """Return the seal from ``text``: the metrics' values, perhaps as floats, which the state machine joins by BETWEEN.

    Raises ValueError for any other text.
    """
    return tuple(int(float(number)) for number in text.split(BETWEEN))
