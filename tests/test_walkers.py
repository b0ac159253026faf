"""The two walkers: functions and model_code share no module, and yet read headers alike."""

from __future__ import annotations

from pathlib import Path

import functions.domain.walker
import model_code.reading.walker


def test_functions_and_model_code_walk_the_same_way() -> None:
    assert Path(functions.domain.walker.__file__).read_bytes() == Path(model_code.reading.walker.__file__).read_bytes()
