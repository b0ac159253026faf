"""One version of a Lambda function as an execution environment needs it: code, layers, variables, limits."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.lambdas.wheels import exchange_compiled
from localcloud.patches.patching import emulator

_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
_extracting = threading.Lock()


@dataclass(frozen=True)
class FunctionVersion:
    """What the emulator knows of a function, read once. Two records of the same deployment have the same key."""

    name: str
    arn: str
    handler: str
    timeout: float
    key: tuple[str, ...]
    configuration: dict[str, Any]
    code: bytes  # empty for a container image
    layers: tuple[bytes, ...]

    @classmethod
    def of(cls, record: dict[str, Any]) -> FunctionVersion:
        """Read the emulator's record of a function."""
        configuration = record.get("config") or record
        functions = emulator("services.lambda_svc", "_resolve_layer_zip")
        layers = (functions._resolve_layer_zip(layer) for layer in configuration.get("Layers") or [])
        identity = ("FunctionName", "CodeSha256", "RevisionId", "LastModified", "Role")
        return cls(
            name=configuration["FunctionName"],
            arn=configuration["FunctionArn"],
            handler=_handler(configuration),
            timeout=float(configuration.get("Timeout", 3)),
            key=tuple(str(configuration.get(name)) for name in identity),
            configuration=configuration,
            code=record.get("code_zip") or b"",
            layers=tuple(layer for layer in layers if layer),
        )

    @property
    def is_image(self) -> bool:
        """Whether the function is a container image, and so runs among all packages of the project."""
        return self.configuration.get("PackageType") == "Image"

    @property
    def log_group(self) -> str:
        """The log group that the function writes to."""
        return (self.configuration.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{self.name}"

    @property
    def memory_size(self) -> int:
        """How much memory the function may have, in MB."""
        return int(self.configuration.get("MemorySize", 128))

    def extract(self, scratch: Path) -> tuple[Path, list[Path]]:
        """Extract the code and the layers below `scratch`, once for each content; return their folders."""
        layers = [_extract(layer, scratch / "layers", exchange=True) for layer in self.layers]
        return _extract(self.code, scratch / "code"), layers

    def environment(self, *, task_root: Path, search: list[Path], endpoint: str, log_stream: str) -> dict[str, str]:
        """Every environment variable of the process, and no other: AWS's, then the function's own."""
        runtime = emulator("core.lambda_runtime", "execution_credentials")
        configuration = self.configuration
        region = self.arn.split(":")[3]
        logging = configuration.get("LoggingConfig") or {}
        own = (configuration.get("Environment") or {}).get("Variables") or {}
        return {
            "PATH": os.pathsep.join(_PATH),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": os.pathsep.join(map(str, (task_root, *search))),
            "PYTHONUNBUFFERED": "1",
            "LAMBDA_TASK_ROOT": str(task_root),
            "_HANDLER": self.handler,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{configuration.get('Runtime')}",
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": str(configuration.get("Version", "$LATEST")),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory_size),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": self.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
            "AWS_LAMBDA_LOG_FORMAT": str(logging.get("LogFormat", "Text")),
            "AWS_LAMBDA_LOG_LEVEL": str(logging.get("ApplicationLogLevel", "")),
            **runtime.execution_credentials(configuration),
            **{name: str(value) for name, value in own.items()},
        }


def _handler(configuration: dict[str, Any]) -> str:
    """Return the handler: of an image, what its command gives the runtime client."""
    image = (configuration.get("ImageConfigResponse") or {}).get("ImageConfig") or {}
    (handler,) = image.get("Command") or [configuration["Handler"]]
    return str(handler)


def _extract(archive: bytes, folder: Path, *, exchange: bool = False) -> Path:
    """Extract an archive; with ``exchange`` its compiled packages become those of this machine."""
    target = folder / hashlib.sha256(archive).hexdigest()[:24]
    with _extracting:
        if not target.exists():
            partial = target.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            with zipfile.ZipFile(io.BytesIO(archive)) as content:
                content.extractall(partial)
            if exchange:
                exchange_compiled(partial / "python")
            partial.rename(target)
    return target
