"""A function's session is secret: the emulator makes key, secret and token from the names of function and role.

Those names stand in the template, so that everybody could sign as any function.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import emulator, replace

Credentials = dict[str, str]


def install() -> None:
    """Give each function one random session with its role for as long as this process lives."""
    emulator("services.sts", "register_session")
    replace("core.lambda_runtime", "execution_credentials", ("config",), lambda _original: _by_function())


def _by_function() -> Callable[[dict[str, Any]], Credentials]:
    given: dict[tuple[str, str], Credentials] = {}
    giving = threading.Lock()

    def execution_credentials(config: dict[str, Any]) -> Credentials:
        with giving:
            function = (config["FunctionArn"], config["Role"])
            if function not in given:
                given[function] = _session(config["Role"], config["FunctionName"])
            return given[function]

    return execution_credentials


def _session(role_arn: str, name: str) -> Credentials:
    """Register a session of the role with random credentials, and return these."""
    account, role = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    key, secret, token = f"ASIA{secrets.token_hex(8).upper()}", secrets.token_hex(20), secrets.token_hex(32)
    emulator("services.sts").register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name[:64]}",
            "UserId": f"{role}:{name}",
            "SecretAccessKey": secret,
            "SessionToken": token,
        },
    )
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
