"""Keeps the state of a training between two epochs in the folder that SageMaker saves and restores."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from model_code.errors import TrainingError

FORMAT = "wetread-checkpoint/1"
NAME = "checkpoint.pt"

State = dict[str, Any]


class Checkpoints:
    """The checkpoint in ``folder``; ``run`` identifies its training by named texts and numbers."""

    def __init__(self, folder: Path, run: Mapping[str, str | int | float]) -> None:
        self._path = folder / NAME
        self._run = {"format": FORMAT, **run}

    def write(self, state: State) -> None:
        """Replace the checkpoint atomically; ``state`` holds tensors, numbers, texts, lists and dicts.

        Raises TrainingError if the folder cannot take it, and keeps the one before.
        """
        partial = self._path.with_suffix(".partial")
        # torch's own writing of files reports a full disk without that word.
        written = io.BytesIO()
        torch.save({"run": self._run, "state": state}, written)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(written.getbuffer())
            partial.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            raise TrainingError(
                f"The checkpoint {self._path} of {len(written.getbuffer())} bytes cannot be written: {error.strerror}. "
                "If the volume is full, give the training a larger one (training_volume_gb)."
            ) from error

    def read(self) -> State | None:
        """Return the last written state, None before the first.

        Raises TrainingError for an unreadable checkpoint, or one of another training: ignoring it would overwrite it.
        """
        if not self._path.is_file():
            return None
        try:
            # weights_only refuses a pickle that would run code on loading.
            document = torch.load(self._path, map_location="cpu", weights_only=True)
            run, state = dict(document["run"]), dict(document["state"])
        except Exception as error:  # torch has no common exception for what it cannot load
            raise TrainingError(
                f"The checkpoint {self._path} cannot be read ({type(error).__name__}: {error}); "
                "remove it to begin this training anew."
            ) from error
        different = [
            f"{name} is {run.get(name)!r} there and {self._run.get(name)!r} here"
            for name in sorted(run.keys() | self._run.keys())
            if run.get(name) != self._run.get(name)
        ]
        if different:
            raise TrainingError(
                f"The checkpoint {self._path} is of another training: {'; '.join(different)}. "
                "Give this training its own checkpoint folder."
            )
        return state
