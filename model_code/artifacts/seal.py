"""What a training job says of the model that it wrote: the digest of its files, as numbers.

A training job has no ExitMessage, as a processing job has. What it can say by way of SageMaker are its metrics, which
nobody can replace with an object in S3. A metric is a 32-bit float, and that holds a whole number of 24 bits exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from model_code.artifacts.artifact import sha256_of

NUMBERS, DIGITS = 6, 6  # hex digits of the digest in each number: 144 bits of it in all
BETWEEN = "-"


def seal_of(model_dir: Path) -> tuple[int, ...]:
    """Return the numbers for a model folder: they stay the same when it is packed and unpacked.

    Every file counts, by its name and its bytes: one that was added changes them too.
    """
    files = sorted(path for path in model_dir.rglob("*") if path.is_file())
    lines = [f"{sha256_of(path)} {path.relative_to(model_dir).as_posix()}\n" for path in files]
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    return tuple(int(digest[DIGITS * at : DIGITS * (at + 1)], 16) for at in range(NUMBERS))


def line(seal: Sequence[int]) -> str:
    """Return the line of the log in which SageMaker finds the metrics."""
    return " ".join(f"model_digest_{at}={number}" for at, number in enumerate(seal, 1))


def parse(text: str) -> tuple[int, ...]:
    """Return the numbers that the state machine joins of the metrics' values, which may be spelled as floats.

    Raises ValueError for what is none.
    """
    return tuple(int(float(number)) for number in text.split(BETWEEN))
