"""The key of one home: random, in a file that only its owner can read."""

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
        """Return the answer to `challenge` that only a holder of this key can compute, in hexadecimal digits."""
        return hmac.new(self.secret_access_key.encode(), f"localcloud {challenge}".encode(), hashlib.sha256).hexdigest()

    def __repr__(self) -> str:
        """Return the key's id without its secret: representations end up in logs and tracebacks."""
        return f"Key({self.access_key_id!r}, …)"


def find_key(home: Home) -> Key | None:
    """Return the key of this home; None before its first start."""
    try:
        return Key(**json.loads(home.key_file.read_text()))
    except FileNotFoundError:
        return None


def ensure_key(home: Home) -> Key:
    """Return the key of this home; make it if there is none."""
    return find_key(home) or _make(home)


def _make(home: Home) -> Key:
    """Write a new key atomically and return it; two commands that do so at once both get the first key."""
    # AWS's form of an access key id, which every SDK takes: AKIA and sixteen characters.
    key = Key(f"AKIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(_SECRET_BYTES))
    # A name that no other thread takes: opened again after the link, the file would lose the key that is in it.
    partial = Path(f"{home.key_file}.{secrets.token_hex(8)}")
    write_private(partial, json.dumps(asdict(key)) + "\n")
    try:
        os.link(partial, home.key_file)
    except FileExistsError:
        return Key(**json.loads(home.key_file.read_text()))
    finally:
        partial.unlink()
    return key
