"""Runs the custom code in a training job's channel ``code`` instead of the image's code.

Only an experiment has that channel; the training workflow always runs the image's code. Nothing is downloaded or
installed: the channel is on the job's disk, and the packages are the image's.
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
    """Replace this process by ``python -m model_code`` of the custom code, if the job has any and it does not run yet.

    Raises TrainingError for a channel without the package.
    """
    folder = container.code_channel
    if not folder.is_dir() or PACKAGE.is_relative_to(folder.resolve()):
        return
    if not (folder / PACKAGE.name / "__main__.py").is_file():
        raise TrainingError(
            f"The channel code holds no {PACKAGE.name}/__main__.py; put a copy of {PACKAGE.name}/ there."
        )
    # With -m the working folder comes first on the import path, before PYTHONPATH, here and in every worker.
    os.chdir(folder)
    os.execv(sys.executable, [sys.executable, "-m", PACKAGE.name, *arguments])  # noqa: S606 (no shell is meant)
