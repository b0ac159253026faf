"""Make a small model with the container's own commands, for the tests and benchmarks that need a real artifact."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from model_code.artifacts.seal import seal_of
from tests.snapshots import phantom_slices, write_snapshot


def optimise(folder: Path) -> dict[str, Path]:
    """Make every backend of the model that ``train`` left in ``folder``; the first int8 trial, valid or not.

    Returns by the backend's name a folder with a ``model/`` that the backend serves, and its model.tar.gz.
    """
    processing = folder / "processing" / "input"
    shutil.copytree(folder / "input/data", processing)
    (processing / "candidate").mkdir()
    shutil.copyfile(folder / "model.tar.gz", processing / "candidate" / "model.tar.gz")
    said = "-".join(map(str, seal_of(folder / "model")))
    _run(folder, ["-c", _OPTIMISE, said])
    made: dict[str, Path] = {}
    with tarfile.open(folder / "processing/output/optimised/model.tar.gz") as archive:
        archive.extractall(folder / "optimised/model", filter="data")
    document = json.loads((folder / "optimised/model/metadata.json").read_text())
    for backend in (*document["serving"]["forms"], "torch"):
        made[backend] = folder / backend
        shutil.copytree(folder / "optimised/model", made[backend] / "model")
        document["serving"]["form"] = backend
        (made[backend] / "model/metadata.json").write_text(json.dumps(document))
        _run(folder, ["-m", "model_code", "pack", str(made[backend] / "model"), str(made[backend] / "model.tar.gz")])
    return made


def train(folder: Path, image_size: int = 64) -> Path:
    """Train a model on six slices with the container's own command; return its model.tar.gz beside ``model/``."""
    write_snapshot(folder / "input/data", phantom_slices())
    hyperparameters = {"epochs": "1", "image_size": str(image_size)}
    (folder / "input/config").mkdir(parents=True)
    (folder / "input/config/hyperparameters.json").write_text(json.dumps(hyperparameters))
    artifact = folder / "model.tar.gz"
    _run(folder, ["-m", "model_code", "train"])
    _run(folder, ["-m", "model_code", "pack", str(folder / "model"), str(artifact)])
    return artifact


def with_thresholds(artifact: Path, folder: Path, **thresholds: float) -> Path:
    """Return a copy of an artifact whose rule of studies has these thresholds by class; the reference is normal."""
    shutil.copytree(artifact.parent / "model", folder / "model")
    metadata = folder / "model/metadata.json"
    rule = {"version": 1, "rule": "top_mean", "reference": "normal", "k": 3, "coefficients": {}}
    document = json.loads(metadata.read_text()) | {"study": rule | {"thresholds": thresholds}}
    metadata.write_text(json.dumps(document))
    _run(folder, ["-m", "model_code", "pack", str(folder / "model"), str(folder / "model.tar.gz")])
    return folder / "model.tar.gz"


# The container's own command, but for the bounds.
_OPTIMISE = """
import sys
from model_code.__main__ import main
from model_code.optimisation import trial
from model_code.optimisation.parity import Bounds
trial.INT8 = Bounds(usual=1, most=1, tie_band=1, auc=1, grid=1)
sys.exit(main(["optimise", "--trained", sys.argv[1]]))
"""


def _run(folder: Path, arguments: list[str]) -> None:
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(folder)}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
