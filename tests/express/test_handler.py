"""What the function leaves on its disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from express.handler import scratch


def test_a_process_deletes_what_a_dead_one_has_left_on_the_same_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda starts it again there after a run that was out of time or memory; some such runs would fill the disk."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (scratch() / "model").mkdir()
    (tmp_path / "ml/model/model.pth").write_bytes(b"weights")
    own = scratch()
    assert list(own.iterdir()) == []
    assert list(tmp_path.iterdir()) == [own]
