"""Instruments that tests load into a local cloud: it calls `install()` of the modules that its EXTENSIONS name."""

from __future__ import annotations

import os

VARIABLE = "WETREAD_EXTENSIONS"


def loaded_with(*names: str) -> str:
    """Return the value of VARIABLE that loads these instruments beside those that it names already."""
    before = filter(None, os.environ.get(VARIABLE, "").split(","))
    return ",".join(dict.fromkeys([*before, *(f"{__name__}.{name}" for name in names)]))
