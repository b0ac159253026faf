"""Where the local cloud keeps its things: the folder `$WETREAD_HOME` and the files in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Home:
    """The folder of one local cloud. Two clouds with two homes know nothing of each other."""

    root: Path

    @property
    def state_file(self) -> Path:
        """`cloud.json`: the endpoint and what was deployed there."""
        return self.root / "cloud.json"

    @property
    def log_file(self) -> Path:
        """What the launcher and the emulator have to say."""
        return self.root / "cloud.log"

    @property
    def launcher_lock(self) -> Path:
        """Held by the running launcher for as long as it lives; contains its process id."""
        return self.root / "launcher.lock"

    @property
    def up_lock(self) -> Path:
        """Held while a command brings the cloud up or down."""
        return self.root / "up.lock"

    @property
    def services(self) -> Path:
        """The emulator's state, one JSON file for each service."""
        return self.root / "services"

    @property
    def objects(self) -> Path:
        """The bytes of S3 objects."""
        return self.root / "objects"

    @property
    def scratch(self) -> Path:
        """Lambda code, model artifacts and job folders: emptied whenever the launcher starts."""
        return self.root / "scratch"

    @property
    def aws_config(self) -> Path:
        """An AWS configuration file that leads to this cloud."""
        return self.root / "aws.config"

    @property
    def assembly(self) -> Path:
        """The cloud assembly that was synthesised last."""
        return self.root / "cdk.out"

    def create(self) -> Home:
        """Make the folder, readable by its owner alone, since uploads may be patients' images."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self


def current_home() -> Home:
    """The home that `$WETREAD_HOME` names, else `.wetread` in the repository."""
    configured = os.environ.get("WETREAD_HOME")
    return Home(Path(configured).resolve() if configured else REPOSITORY / ".wetread")
