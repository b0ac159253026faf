"""What the address of a webhook may be, and its secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from infra.config import StageConfig

SECRET_ARN = r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+"  # noqa: S105
HOST = r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]"
MOST_LENGTH = 2048


def problems(config: StageConfig) -> Iterator[str]:
    """Yield one clause for each wrong value: the setting, its value, what is expected."""
    url, secret = config.webhook_url, config.webhook_secret_arn
    if url and not _is_address(url):
        yield (
            f"webhook_url is {_shown(url)!r}: 'https://<domain name>/<path>' of at most {MOST_LENGTH} characters is "
            "expected, without user, password, fragment and *"
        )
    if secret and not re.fullmatch(SECRET_ARN, secret, re.ASCII):
        yield (
            f"webhook_secret_arn is {secret!r}: the ARN of a secret is expected, "
            "'arn:aws:secretsmanager:<region>:<account>:secret:<name>'"
        )
    if bool(url) != bool(secret):
        yield (
            f"webhook_url is {_shown(url)!r} and webhook_secret_arn {secret!r}: both or neither are expected, since "
            "EventBridge sends nothing without an Authorization header"
        )


def _is_address(url: str) -> bool:
    if len(url) > MOST_LENGTH or not re.fullmatch(r"[-()_.!~';/?:&=+$,%A-Za-z0-9]+", url):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme == "https" and port != 0 and bool(re.fullmatch(HOST, parts.hostname or ""))


def _shown(url: str) -> str:
    """Return an address without what may be a password in it."""
    return re.sub(r"//[^/@]*@", "//...@", url)
