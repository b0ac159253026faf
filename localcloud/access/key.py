"""The key of one home: random, and in a file that its owner alone can read."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from localcloud.home import Home, write_private

HEALTH_PATH = "/_localcloud/health"
"""Where a launcher answers a challenge without a signature, by which a caller sees that it holds the key."""
_SECRET_BYTES = 32


@dataclass(frozen=True)
class Key:
    """The administrator's credentials of one local cloud."""

    access_key_id: str
    secret_access_key: str

    def proof(self, challenge: str) -> str:
        """What only a holder of this key can answer to `challenge`, in hexadecimal digits."""
        return hmac.new(self.secret_access_key.encode(), f"localcloud {challenge}".encode(), hashlib.sha256).hexdigest()

    def __repr__(self) -> str:
        """Name the key and hide its secret: representations end in logs and tracebacks."""
        return f"Key({self.access_key_id!r}, …)"


def find_key(home: Home) -> Key | None:
    """The key of this home; None before its first start."""
    try:
        return Key(**json.loads(home.key_file.read_text()))
    except FileNotFoundError:
        return None


def ensure_key(home: Home) -> Key:
    """The key of this home, made now unless there is one."""
    return find_key(home) or _make(home)


def _make(home: Home) -> Key:
    """Write a new key, wholly or not at all; of two commands that do so at once, both get the first one's."""
    # AWS's form of an access key id, which no SDK refuses: AKIA and sixteen of 32 signs.
    key = Key(f"AKIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(_SECRET_BYTES))
    partial = Path(f"{home.key_file}.{os.getpid()}")
    write_private(partial, json.dumps(asdict(key)) + "\n")
    try:
        os.link(partial, home.key_file)
    except FileExistsError:
        return Key(**json.loads(home.key_file.read_text()))
    finally:
        partial.unlink()
    return key
