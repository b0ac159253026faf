"""Importing model_code configures no logging: only a command does."""

from __future__ import annotations

import subprocess
import sys

IMPORT = """
import importlib, logging, pkgutil, sys, warnings
logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
def state():
    loggers = [logging.getLogger(name) for name in ("", "model_code", "pydicom")]
    return [(one.level, one.handlers[:], one.filters[:], one.propagate) for one in loggers]
import model_code
import pydicom  # which gives its own logger a level
before = state()
names = [one.name for one in pkgutil.walk_packages(model_code.__path__, "model_code.") if ".script" not in one.name]
for name in names:
    importlib.import_module(name)
assert len(names) > 60, names
assert state() == before, (before, state())
ours = [one for name, one in logging.Logger.manager.loggerDict.items() if name.startswith("model_code")]
assert not [one for one in ours if isinstance(one, logging.Logger) and (one.level or one.handlers or one.filters)]
assert not [one for one in warnings.filters if "pydicom" in str(one[3])]
"""


def test_no_module_configures_logging_when_it_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
