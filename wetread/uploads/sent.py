"""Which files this machine has sent to a deployment, so that a repeated submission sends only what is left.

A sender may write objects and read none, so S3 cannot be asked what it holds. The record is a file of this machine,
for its owner alone. It holds hashes: of keys, which may name patients, and of contents.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from pathlib import Path

KEPT_SECONDS = 30 * 86_400
_TABLE = (
    "CREATE TABLE IF NOT EXISTS sent "
    "(key TEXT PRIMARY KEY, size INTEGER, sha256 TEXT, version TEXT, at REAL) WITHOUT ROWID"
)


class Sent:
    """The record of one deployment. Entries are forgotten after KEPT_SECONDS."""

    def __init__(self, path: Path, now: float) -> None:
        """``now`` is in seconds since 1970. Raises OSError where the file cannot be made or read."""
        self._now = now
        self._lock = threading.Lock()
        self.unwritten = 0
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        try:
            self._rows = self._open(path)
        except sqlite3.DatabaseError:  # damaged: forget what was sent
            path.unlink()
            try:
                self._rows = self._open(path)
            except sqlite3.Error as error:
                raise OSError(str(error)) from error

    def _open(self, path: Path) -> sqlite3.Connection:
        rows = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        rows.execute("PRAGMA synchronous=OFF")  # it outlives this process, and need not outlive the machine
        rows.execute(_TABLE)
        rows.execute("DELETE FROM sent WHERE at < ?", (self._now - KEPT_SECONDS,))
        return rows

    def version_of(self, key: str, size: int, sha256: str) -> str | None:
        """Return the version that these bytes became under ``key``, None if they were not the last ones sent there."""
        with self._lock:
            try:
                found = self._rows.execute(
                    "SELECT version FROM sent WHERE key = ? AND size = ? AND sha256 = ?", (_name(key), size, sha256)
                ).fetchone()
            except sqlite3.Error:  # then it is sent again
                return None
        return str(found[0]) if found else None

    def add(self, key: str, size: int, sha256: str, version: str) -> None:
        """Record a file that is in the bucket now; count it in ``unwritten`` if that fails."""
        with self._lock:
            try:
                self._rows.execute(
                    "REPLACE INTO sent VALUES (?, ?, ?, ?, ?)", (_name(key), size, sha256, version, self._now)
                )
            except sqlite3.Error:
                self.unwritten += 1

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._rows.close()


def path_of(deployment: str) -> Path:
    """Return the file of a deployment's record, by anything that names the deployment and no other."""
    configured = os.environ.get("XDG_STATE_HOME", "")
    state = Path(configured) if Path(configured).is_absolute() else Path.home() / ".local/state"
    return state / "wetread" / f"sent-{_name(deployment)[:16]}.sqlite"


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
