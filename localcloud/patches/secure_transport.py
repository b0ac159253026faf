"""Loopback HTTP counts as secure transport, because bucket policies made by `enforce_ssl` deny everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import replace


def install() -> None:
    """Report every request as encrypted: the emulator listens on the loopback interface only."""
    replace("app", "pin_request_origin", ("source_ip", "secure_transport"), _always_secure)


def _always_secure(original: Callable[..., Any]) -> Callable[..., Any]:
    def pin_request_origin(source_ip: str, _secure_transport: bool) -> Any:
        return original(source_ip, True)

    return pin_request_origin
