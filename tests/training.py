"""Makes a small model with the container's own commands, for the tests and benchmarks that need a real artifact."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.snapshots import phantom_slices, write_snapshot


def train(folder: Path, image_size: int = 64) -> Path:
    """Train a model on six slices with the container's own command; return its model.tar.gz beside ``model/``."""
    write_snapshot(folder / "input/data", phantom_slices())
    hyperparameters = {"epochs": "1", "image_size": str(image_size)}
    (folder / "input/config").mkdir(parents=True)
    (folder / "input/config/hyperparameters.json").write_text(json.dumps(hyperparameters))
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(folder)}
    artifact = folder / "model.tar.gz"
    for command in (["train"], ["pack", str(folder / "model"), str(artifact)]):
        done = subprocess.run(
            [sys.executable, "-m", "model_code", *command], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return artifact
