"""A function of a container image: it has the packages of the project's environment, which no layer brings."""

from __future__ import annotations

from typing import Any

import numpy as np


def handler(event: Any, _context: Any) -> int:
    """Return the sum of numbers; anything else is an error."""
    return int(np.sum(event))
