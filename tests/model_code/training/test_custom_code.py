"""A training job's custom code: it runs instead of the image's, and its absence is an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_code.container import Container
from model_code.errors import TrainingError
from model_code.training import custom_code

CUSTOM = """
import os, sys
from pathlib import Path
print("custom", Path(__file__).parent.parent.name, *sys.argv[1:])
"""


def write(container: Container, text: str) -> None:
    package = container.code_channel / "model_code"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(text)


def train(container: Container) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(container.base)}
    command = [sys.executable, "-m", "model_code", "train"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_jobs_own_code_trains(tmp_path: Path) -> None:
    container = Container(tmp_path)
    write(container, CUSTOM)
    done = train(container)
    assert (done.returncode, done.stdout) == (0, "custom code train\n"), done.stderr


def test_a_failure_of_the_jobs_own_code_is_the_jobs(tmp_path: Path) -> None:
    container = Container(tmp_path)
    write(container, "raise SystemExit('mine')")
    done = train(container)
    assert (done.returncode, done.stderr) == (1, "mine\n")


def test_a_channel_without_the_package_fails_the_job_with_the_reason(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.code_channel.mkdir(parents=True)
    assert train(container).returncode == 1
    assert "holds no model_code/__main__.py" in container.failure.read_text()


def test_custom_code_does_not_hand_over_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container = Container(tmp_path)
    write(container, CUSTOM)
    monkeypatch.setattr(custom_code, "PACKAGE", container.code_channel / "model_code")
    custom_code.hand_over(container, ["train"])


def test_a_job_without_the_channel_runs_the_images_code(tmp_path: Path) -> None:
    container = Container(tmp_path)
    custom_code.hand_over(container, ["train"])
    assert train(container).returncode == 1
    assert "snapshot.json" in container.failure.read_text()


def test_the_reason_is_a_training_error(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.code_channel.mkdir(parents=True)
    with pytest.raises(TrainingError, match="put a copy of model_code/ there"):
        custom_code.hand_over(container, ["train"])
