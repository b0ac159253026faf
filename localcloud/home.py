"""Where the local cloud keeps its things: the folder `$WETREAD_HOME` and the files in it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

REPOSITORY = Path(__file__).resolve().parents[1]
_OTHERS = 0o077


class CloudError(Exception):
    """The local cloud cannot be started or ended; the message says why and what to do."""


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
    def key_file(self) -> Path:
        """The administrator's credentials, which are random and this home's alone."""
        return self.root / "key.json"

    @property
    def assembly(self) -> Path:
        """The cloud assembly that was synthesised last."""
        return self.root / "cdk.out"

    def create(self) -> Home:
        """Make the folder, or take it, so that its owner alone can enter.

        Raises CloudError when somebody else owns it, or when it holds other things and no cloud: a start would empty
        one folder in it, a wipe more, and all of it would be made private.

        Uploads may be patients' images, rows name them, and the key opens everything. What was readable by others
        before is made private too: somebody may have its name, or have opened it.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = self.root.stat()
        if found.st_uid != os.geteuid():
            raise CloudError(
                f"{self.root} belongs to another user (uid {found.st_uid}). Set WETREAD_HOME to a folder of yours."
            )
        self.check_ours()
        if found.st_mode & _OTHERS:
            self.root.chmod(0o700)
            if any(path.exists() and path.stat().st_mode & _OTHERS for path in (self.key_file, self.aws_config)):
                self.key_file.unlink(missing_ok=True)  # others may know this key; the next start makes another
            _make_private(self.root)
        return self

    def check_ours(self) -> None:
        """Raise CloudError for a folder that holds other things, hidden ones aside, and no cloud."""
        marks = (self.up_lock, self.launcher_lock, self.key_file, self.state_file, self.aws_config)
        if not self.root.is_dir() or any(mark.exists() for mark in marks):
            return
        if not all(path.name.startswith(".") or path.name == "lost+found" for path in self.root.iterdir()):
            raise CloudError(
                f"{self.root} holds other files, and no local cloud. Set WETREAD_HOME to a new or an empty folder."
            )


def open_private(path: Path, mode: str) -> IO[Any]:
    """Open a file that is made for its owner alone, whatever the umask; one that exists is made so."""

    def opener(name: str, flags: int) -> int:
        number = os.open(name, flags, 0o600)
        os.fchmod(number, 0o600)
        return number

    return open(path, mode, opener=opener)


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read."""
    with open_private(path, "w") as file:
        file.write(text)


def _make_private(folder: Path) -> None:
    """Take every right of others from what lies in `folder`; symbolic links and what they lead to stay as they are."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & _OTHERS:
                path.chmod(stat.S_IMODE(mode) & ~_OTHERS)


def current_home() -> Home:
    """The home that `$WETREAD_HOME` names, else `.wetread` in the repository."""
    configured = os.environ.get("WETREAD_HOME")
    return Home(Path(configured).resolve() if configured else REPOSITORY / ".wetread")
