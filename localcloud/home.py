"""The state of a project's local cloud on disk: one folder and the files in it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from localcloud.project import Project

_OTHERS = 0o077


class CloudError(Exception):
    """The local cloud cannot be started or ended; the message says why and what to do."""


@dataclass(frozen=True)
class Home:
    """The folder of one local cloud. Clouds with different homes are independent."""

    root: Path
    project: Project

    @property
    def state_file(self) -> Path:
        """`cloud.json`: the endpoint and what was deployed there."""
        return self.root / "cloud.json"

    @property
    def log_file(self) -> Path:
        """The output of the launcher and the emulator."""
        return self.root / "cloud.log"

    @property
    def launcher_lock(self) -> Path:
        """Locked by the launcher while it runs; contains its process id."""
        return self.root / "launcher.lock"

    @property
    def up_lock(self) -> Path:
        """Locked while a command brings the cloud up or down."""
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
        """Lambda code, model artifacts and job folders; emptied when the launcher starts."""
        return self.root / "scratch"

    @property
    def aws_config(self) -> Path:
        """An AWS configuration file that directs tools to this cloud."""
        return self.root / "aws.config"

    @property
    def key_file(self) -> Path:
        """The administrator's credentials, random and valid for this home only."""
        return self.root / "key.json"

    @property
    def assembly(self) -> Path:
        """The latest cloud assembly."""
        return self.root / "cdk.out"

    def create(self) -> Home:
        """Create the folder, or make it private to its owner, and return the home.

        Raise CloudError if another user owns it, or if it holds other files and no cloud: a start would empty one
        folder in it, a wipe more, and all of it would become private.

        Uploads may be patients' images, rows name them, and the key opens everything. Files that were readable by
        others become private; a key that was readable is replaced.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise CloudError(
                f"{self.root} cannot be made: {error.strerror}. "
                f"Set {self.project.variable('HOME')} to a folder of yours."
            ) from error
        found = self.root.stat()
        if found.st_uid != os.geteuid():
            raise CloudError(
                f"{self.root} belongs to another user (uid {found.st_uid}). "
                f"Set {self.project.variable('HOME')} to a folder of yours."
            )
        self.check_ours()
        if found.st_mode & _OTHERS:
            self.root.chmod(0o700)
            if any(path.exists() and path.stat().st_mode & _OTHERS for path in (self.key_file, self.aws_config)):
                self.key_file.unlink(missing_ok=True)  # other users may know this key; the next start makes a new one
            _make_private(self.root)
        return self

    def check_ours(self) -> None:
        """Raise CloudError for a folder that holds other files, apart from hidden ones, and no cloud."""
        marks = (self.up_lock, self.launcher_lock, self.key_file, self.state_file, self.aws_config)
        if not self.root.is_dir() or any(mark.exists() for mark in marks):
            return
        if not all(path.name.startswith(".") or path.name == "lost+found" for path in self.root.iterdir()):
            raise CloudError(
                f"{self.root} holds other files, and no local cloud. "
                f"Set {self.project.variable('HOME')} to a new or an empty folder."
            )


def open_private(path: Path, mode: str) -> IO[Any]:
    """Open a file and make it private to its owner, whatever the umask."""

    def opener(name: str, flags: int) -> int:
        number = os.open(name, flags, 0o600)
        os.fchmod(number, 0o600)
        return number

    return open(path, mode, opener=opener)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    with open_private(path, "w") as file:
        file.write(text)


def _make_private(folder: Path) -> None:
    """Remove the rights of other users from everything in `folder`; leave symbolic links and their targets alone."""
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & _OTHERS:
                path.chmod(stat.S_IMODE(mode) & ~_OTHERS)


def home_of(project: Project) -> Home:
    """Return the home that `$<prefix>HOME` names, or else the project's default."""
    configured = os.environ.get(project.variable("HOME"))
    return Home(Path(configured).resolve() if configured else project.state, project)
