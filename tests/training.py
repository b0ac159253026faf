"""Makes a small model with the container's own commands, for the tests and benchmarks that need a real artifact."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.snapshots import phantom_slices, write_snapshot


def optimise(folder: Path) -> dict[str, Path]:
    """Make the forms of the model that ``train`` left in ``folder``, with the container's own command.

    Returns by the form's name a folder for each that held, and for torch, with a ``model/`` that it serves.
    """
    processing = folder / "processing" / "input"
    shutil.copytree(folder / "input/data", processing)
    (processing / "candidate").mkdir()
    shutil.copyfile(folder / "model.tar.gz", processing / "candidate" / "model.tar.gz")
    _run(folder, "optimise")
    made: dict[str, Path] = {}
    with tarfile.open(folder / "processing/output/optimised/model.tar.gz") as archive:
        archive.extractall(folder / "optimised/model", filter="data")
    document = json.loads((folder / "optimised/model/metadata.json").read_text())
    for form in (*document["serving"]["forms"], "torch"):
        made[form] = folder / form
        shutil.copytree(folder / "optimised/model", made[form] / "model")
        document["serving"]["form"] = form
        (made[form] / "model/metadata.json").write_text(json.dumps(document))
    return made


def train(folder: Path, image_size: int = 64) -> Path:
    """Train a model on six slices with the container's own command; return its model.tar.gz beside ``model/``."""
    write_snapshot(folder / "input/data", phantom_slices())
    hyperparameters = {"epochs": "1", "image_size": str(image_size)}
    (folder / "input/config").mkdir(parents=True)
    (folder / "input/config/hyperparameters.json").write_text(json.dumps(hyperparameters))
    artifact = folder / "model.tar.gz"
    _run(folder, "train")
    _run(folder, "pack", str(folder / "model"), str(artifact))
    return artifact


def _run(folder: Path, *command: str) -> None:
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "model_code", *command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
