"""The Project of this product, for the local cloud, which runs it from a clone of its repository."""

from __future__ import annotations

import sys
from pathlib import Path

from localcloud.project import Project
from wetread.problems import ConfigProblem

_REPOSITORY = Path(__file__).resolve().parents[1]

PROJECT = Project(
    name="wetread",
    prefix="WETREAD_",
    folder=_REPOSITORY,
    synthesise=(sys.executable, "-m", "infra.app"),
    sources=(
        "infra",
        "aggregation",
        "express",
        "functions",
        "untrusted",
        "cdk.json",
        "pyproject.toml",
        "constraints.txt",
    ),
    image=(sys.executable, "-m", "model_code"),
    state=_REPOSITORY / ".wetread",
)


def require_clone() -> None:
    """Raise ConfigProblem outside a clone: the synthesis needs files that no wheel has."""
    if not (PROJECT.folder / "cdk.json").is_file():
        raise ConfigProblem(
            f"The local cloud runs from a clone of the repository; {PROJECT.folder} has no cdk.json.",
            "Clone the repository, run `make setup` in it, and use its `.venv/bin/wetread`.",
        )
