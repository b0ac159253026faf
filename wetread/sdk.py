"""The SageMaker Python SDK, an optional extra: imported late, as that takes seconds, and kept from sending telemetry.

The SDK sends an event about each training to its makers unless a configuration forbids it, and looks up whether a role
may do everything that any training job could want, which a role of least privilege must fail.
"""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any

import boto3

from wetread import extras

SCHEMA_VERSION = "1.0"


def require() -> None:
    """Prepare the SDK for use; raise ConfigProblem if it is not installed."""
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
    # Its notices repeat the commands' output; its warnings are for its developers.
    logging.getLogger("sagemaker").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"sagemaker(\.|$)")
    extras.require("sdk", "This command")


def session(boto_session: boto3.Session) -> Any:
    """Return a session of the SDK in the same cloud, with the configured defaults but without telemetry."""
    from sagemaker.core.config import load_sagemaker_config  # noqa: PLC0415
    from sagemaker.core.helper.session_helper import Session  # noqa: PLC0415

    defaults = load_sagemaker_config() or {"SchemaVersion": SCHEMA_VERSION}
    modules = defaults.setdefault("SageMaker", {}).setdefault("PythonSDK", {}).setdefault("Modules", {})
    modules["TelemetryOptOut"] = True
    return Session(boto_session=boto_session, sagemaker_config=defaults)
