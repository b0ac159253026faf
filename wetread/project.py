"""The Project of this product, for the local cloud."""

from __future__ import annotations

import sys
from pathlib import Path

from localcloud.project import Project

_REPOSITORY = Path(__file__).resolve().parents[1]

PROJECT = Project(
    name="wetread",
    prefix="WETREAD_",
    folder=_REPOSITORY,
    synthesise=(sys.executable, "-m", "infra.app"),
    sources=("infra", "functions", "cdk.json", "pyproject.toml", "constraints.txt"),
    image=(sys.executable, "-m", "model_code"),
    state=_REPOSITORY / ".wetread",
)
