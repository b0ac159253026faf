"""Custom scripts: what is loaded, what takes precedence, and the error if it cannot be loaded."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

import model_code
from model_code.container import Container
from model_code.errors import ArtifactError
from model_code.inference import model_fn
from model_code.serving.script_loader import load_script

FOUR = """
def model_fn(model_dir): return helper.WORD
def input_fn(body, content_type): ...
def predict_fn(data, model): ...
def output_fn(prediction, accept): ...
"""


@pytest.fixture(autouse=True)
def import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the import path that the loader lengthens."""
    monkeypatch.setattr(sys, "path", [*sys.path])


def write(model_dir: Path, script: str) -> Path:
    (model_dir / "code").mkdir(exist_ok=True)
    (model_dir / "code" / "inference.py").write_text(script)
    return model_dir


def test_our_own_script_runs_the_modules_of_the_image_not_their_packed_copy(container: Container) -> None:
    script = load_script(container.model_dir)
    assert script.model_fn is model_fn
    assert Path(model_code.__file__).parent != container.model_dir / "code" / "model_code"


def test_an_artifact_that_carries_the_modules_of_an_earlier_image_is_served_by_this_one(
    container: Container, tmp_path: Path
) -> None:
    """Until 2026-11-28 the modules lay side by side in model_code, some under other names."""
    model_dir = Path(shutil.copytree(container.model_dir, tmp_path / "model"))
    packed = model_dir / "code" / "model_code"
    shutil.rmtree(packed)
    packed.mkdir()
    for name in ("__init__", "inference", "forms", "loading", "network", "probe"):
        (packed / f"{name}.py").write_text("raise RuntimeError('of an earlier image')")
    script = load_script(model_dir)
    assert script.model_fn is model_fn
    assert script.model_fn(str(model_dir)).identity["Form"] == "torch"


def test_a_script_finds_helpers_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "import beside as helper\n" + FOUR)
    (tmp_path / "code" / "beside.py").write_text("WORD = 'found'")
    assert load_script(tmp_path).model_fn("") == "found"


def test_nothing_beside_a_script_replaces_an_installed_package(tmp_path: Path) -> None:
    write(tmp_path, "import numpy as helper\nhelper.WORD = helper.__name__\n" + FOUR)
    (tmp_path / "code" / "numpy.py").write_text("raise RuntimeError('shadowed')")
    assert load_script(tmp_path).model_fn("") == "numpy"


def test_missing_functions_are_named(tmp_path: Path) -> None:
    write(tmp_path, "def model_fn(d): ...\npredict_fn = 3\n")
    with pytest.raises(ArtifactError, match="lacks input_fn, predict_fn, output_fn"):
        load_script(tmp_path)


def test_a_script_that_fails_to_import(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="fails to import: ModuleNotFoundError No module named 'absent'"):
        load_script(write(tmp_path, "import absent"))


def test_no_script_at_all(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no code/inference\.py"):
        load_script(tmp_path)
