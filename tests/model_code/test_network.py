"""MONAI's networks come without what MONAI imports besides."""

from __future__ import annotations

import subprocess
import sys

BUILD = """
import sys
from model_code import network
network.build(3)
print([name for name in network.SPARED if name in sys.modules])
import scipy
"""


def test_building_a_network_imports_no_package_that_it_does_not_need() -> None:
    done = subprocess.run([sys.executable, "-c", BUILD], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
