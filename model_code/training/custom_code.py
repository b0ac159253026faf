"""Code that a training job brings in its channel ``code``: for that job it takes the place of the image's own.

Only an experiment has that channel; what the training workflow runs is always the image's code. Nothing is downloaded
or installed: the channel lies on the job's disk, and the packages are the image's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from model_code.container import Container
from model_code.errors import TrainingError

PACKAGE = Path(__file__).resolve().parents[1]


def hand_over(container: Container, arguments: Sequence[str]) -> None:
    """Become ``python -m model_code`` of the brought code, if the job brings any; otherwise, and there, do nothing.

    Raises TrainingError for a channel without the package.
    """
    folder = container.code_channel
    if not folder.is_dir() or PACKAGE.is_relative_to(folder.resolve()):
        return
    if not (folder / PACKAGE.name / "__main__.py").is_file():
        raise TrainingError(f"The channel code holds no {PACKAGE.name}/__main__.py; bring a copy of {PACKAGE.name}/.")
    # With -m the working folder comes first on the import path, before PYTHONPATH, here and in every worker.
    os.chdir(folder)
    os.execv(sys.executable, [sys.executable, "-m", PACKAGE.name, *arguments])  # noqa: S606 (no shell is meant)
