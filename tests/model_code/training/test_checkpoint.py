"""The checkpoint: whole or absent, of this training or refused, and never code."""

from __future__ import annotations

import pickle
import resource
from pathlib import Path

import pytest
import torch

from model_code.errors import TrainingError
from model_code.training.checkpoint import Checkpoints

RUN = {"snapshot_digest": "0a", "epochs": 40, "learning_rate": 1e-3}


def test_before_the_first_there_is_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "absent", RUN).read() is None


def test_the_last_one_written_is_read(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", RUN)
    for epoch in (1, 2):
        checkpoints.write({"epoch": epoch, "weights": {"a": torch.full((2,), epoch)}, "history": [{"loss": 0.5}]})
    state = Checkpoints(tmp_path / "checkpoints", dict(RUN)).read()
    assert state is not None
    assert (state["epoch"], state["history"], state["weights"]["a"].tolist()) == (2, [{"loss": 0.5}], [2, 2])
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


def test_a_write_that_is_cut_off_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path, RUN)
    checkpoints.write({"epoch": 1})

    def cut_off(path: Path, _content: bytes) -> None:
        with path.open("wb") as half:
            half.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", cut_off)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.write({"epoch": 2})
    assert checkpoints.read() == {"epoch": 1}


def test_a_full_volume_is_named_and_keeps_the_one_before(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, RUN)
    checkpoints.write({"epoch": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    try:
        with pytest.raises(
            TrainingError, match=r"checkpoint\.pt of \d{6} bytes cannot be written: File too large\. If the"
        ):
            checkpoints.write({"epoch": 2, "weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert checkpoints.read() == {"epoch": 1}
    assert len(list(tmp_path.iterdir())) == 1, "nothing of the second is left"


def test_one_of_another_training_is_refused_and_kept(tmp_path: Path) -> None:
    Checkpoints(tmp_path, RUN).write({"epoch": 1})
    with pytest.raises(
        TrainingError, match="epochs is 40 there and 10 here; snapshot_digest is '0a' there and '0b' here"
    ):
        Checkpoints(tmp_path, RUN | {"snapshot_digest": "0b", "epochs": 10}).read()
    assert Checkpoints(tmp_path, RUN).read() == {"epoch": 1}


class Payload:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('the pickle ran')",)


@pytest.mark.parametrize("content", [b"", b"half of one", pickle.dumps(Payload()), pickle.dumps([])])
def test_a_damaged_or_hostile_one_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(TrainingError, match=r"cannot be read .* remove it to begin this training anew"):
        Checkpoints(tmp_path, RUN).read()
