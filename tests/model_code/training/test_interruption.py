"""An interrupted training process: its successor ends with the same weights as an uninterrupted one."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model_code.container import Container
from tests.model_code.conftest import SIZE, chests, opt_ml

SETTINGS = {"epochs": 6, "image_size": SIZE, "seed": 3}
SECONDS = 120

pytestmark = pytest.mark.check


def start(container: Container) -> subprocess.Popen[bytes]:
    with (container.base / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "model_code", "train"],
            env={**os.environ, "SAGEMAKER_BASE_DIR": str(container.base)},
            stdout=log,
            stderr=log,
        )


def log_of(container: Container) -> str:
    return (container.base / "log").read_text()


def weights(container: Container) -> str:
    return hashlib.sha256((container.model_dir / "model.pth").read_bytes()).hexdigest()


def finish(container: Container) -> None:
    assert start(container).wait(SECONDS) == 0, log_of(container)


def epochs_logged(container: Container) -> list[int]:
    return [int(line.split()[0][6:]) for line in log_of(container).splitlines() if line.startswith("epoch=")]


def interrupt(container: Container, number: signal.Signals) -> int:
    """End a training process with a signal after it has logged an epoch; return its exit status."""
    process = start(container)
    deadline = time.monotonic() + SECONDS
    while not epochs_logged(container) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    return process.wait(SECONDS)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Container:
    made = opt_ml(tmp_path_factory.mktemp("uninterrupted"), chests(), **SETTINGS)
    finish(made)
    return made


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_training_continues_where_it_was_ended(
    tmp_path: Path, uninterrupted: Container, number: signal.Signals, status: int
) -> None:
    container = opt_ml(tmp_path, chests(), **SETTINGS)
    assert interrupt(container, number) == status, log_of(container)
    assert not container.model_dir.exists()
    assert not container.failure.exists()
    assert ("stopped by SIGTERM" in log_of(container)) == (number == signal.SIGTERM)
    finish(container)
    assert "a checkpoint was found: training continues after epoch" in log_of(container)
    # An epoch may run twice if the process ended between its checkpoint and its log line, but is never left out.
    assert sorted(set(epochs_logged(container))) == epochs_logged(uninterrupted)
    assert weights(container) == weights(uninterrupted)


def test_a_job_that_ended_before_it_wrote_its_model_writes_it_without_training(uninterrupted: Container) -> None:
    before, epochs = weights(uninterrupted), epochs_logged(uninterrupted)
    (uninterrupted.model_dir / "model.pth").unlink()
    finish(uninterrupted)
    assert weights(uninterrupted) == before
    assert epochs_logged(uninterrupted) == epochs


def test_a_checkpoint_of_other_hyperparameters_is_refused(uninterrupted: Container) -> None:
    uninterrupted.hyperparameters.write_text(
        json.dumps({name: str(value) for name, value in (SETTINGS | {"seed": 4}).items()})
    )
    assert start(uninterrupted).wait(SECONDS) == 1
    assert "is of another training: seed is 3 there and 4 here" in uninterrupted.failure.read_text()
