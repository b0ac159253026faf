"""What the checks of the image share: a check's outcome, and folders as SageMaker's jobs find them."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from assurance.image.engine import Container, Engine
from tests.snapshots import phantom_slices, write_snapshot

ALONE = ("algo-1",)
SMALL = {"batch_size": "4", "image_size": "64", "model_version": "check"}


class NotJudged(Exception):
    """A check cannot be run here; the text says why."""


class Verdict(Enum):
    """How a check ended, as it is printed."""

    PASSED = "ok"
    FAILED = "FAIL"
    NOT_JUDGED = "skip"


@dataclass(frozen=True)
class Bench:
    """What the checks work with: the engine, the image by its name, and an empty folder for their jobs."""

    engine: Engine
    image: str
    folder: Path

    @contextmanager
    def started(self, command: Sequence[str], *options: str) -> Iterator[Container]:
        """Start a command in a container without a network, unless the options name one; remove it at the end."""
        container = self.engine.start(f"wetread-{uuid.uuid4().hex}", self.image, options, command)
        try:
            yield container
        finally:
            container.remove()

    def training(
        self, name: str, epochs: int, hosts: Sequence[str] = ALONE, current: str = "algo-1", **hyperparameters: str
    ) -> Path:
        """Return a new folder for /opt/ml as a training job finds it."""
        base = self.folder / name
        write_snapshot(base / "input/data", phantom_slices())
        config = base / "input/config"
        config.mkdir()
        given = SMALL | {"epochs": str(epochs)} | hyperparameters
        (config / "hyperparameters.json").write_text(json.dumps(given))
        cluster = {"current_host": current, "hosts": list(hosts), "network_interface_name": "eth0"}
        (config / "resourceconfig.json").write_text(json.dumps(cluster))
        for made in ("model", "output/data", "checkpoints"):
            (base / made).mkdir(parents=True)
        return base

    def processing(self, name: str, candidate: Path) -> Path:
        """Return a new folder for /opt/ml as a processing job finds it, with a candidate's model.tar.gz."""
        base = self.folder / name
        write_snapshot(base / "processing/input", phantom_slices())
        (base / "processing/input/candidate").mkdir()
        shutil.copyfile(candidate, base / "processing/input/candidate/model.tar.gz")
        for made in ("audit", "optimised", "evaluation"):
            (base / "processing/output" / made).mkdir(parents=True)
        (base / "output").mkdir()
        return base

    @property
    def trained(self) -> Path:
        """/opt/ml of the training whose model the other checks use."""
        return self._made_by("train", self.folder / "whole", "model/model.pth")

    @property
    def optimised(self) -> Path:
        """The model.tar.gz that ``optimise`` wrote."""
        return self._made_by("optimise", self.folder / "job/processing/output/optimised/model.tar.gz")

    def served(self) -> Path:
        """Return a folder with ``model/``, the optimised model unpacked as SageMaker gives it to ``serve``."""
        base = self.folder / "served"
        if not base.is_dir():
            with tarfile.open(self.optimised) as archive:
                archive.extractall(base / "model", filter="data")
            (base / "model").chmod(0o755)
        return base

    def _made_by(self, check: str, path: Path, file: str = "") -> Path:
        if not (path / file).exists():
            raise NotJudged(f"it needs what the check {check!r} makes")
        return path


Check = Callable[[Bench], str]


def judge(check: Check, bench: Bench) -> tuple[Verdict, str]:
    """Run one check; return how it ended, and what was seen or why it could not be run."""
    try:
        return Verdict.PASSED, check(bench)
    except NotJudged as reason:
        return Verdict.NOT_JUDGED, str(reason)
    except (AssertionError, RuntimeError, KeyError, ValueError, OSError) as error:
        return Verdict.FAILED, str(error) or type(error).__name__


def in_time(took: float, limit: float) -> str:
    """Assert that something took at most ``limit`` seconds; return it in words. A busy machine is no judge."""
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    words = f"after {took:.1f} s"
    if took > limit and load > processors:
        raise NotJudged(f"{words}, but the machine is busy (load average {load:.0f}); at most {limit} s are wanted")
    assert took <= limit, f"{words}; at most {limit} s are wanted"
    return words


def status_of(expected: int, found: int | None, log: str) -> str:
    """Assert a process's exit status; return it in words."""
    assert found == expected, f"status {found}, not {expected}: {log.strip()[-400:]}"
    return f"status {found}"
