"""The options of the local cloud, each an environment variable of the launcher."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.project import Project


class OptionError(Exception):
    """An environment variable of the launcher cannot be read; the message names it and its value."""


@dataclass(frozen=True)
class Options:
    """The launcher's options. The variable of `lambda_concurrency` is `<prefix>LAMBDA_CONCURRENCY`, and so on."""

    port: int = 4566
    """Where the emulator listens, on 127.0.0.1."""
    lambda_concurrency: int = 2
    """Execution environments that one function may have at a time; the model needs the processor too."""
    lambda_idle_seconds: float = 300.0
    """How long an idle environment is kept."""
    tether: bool = False
    """Whether the launcher ends with its standard input, of which the process that started it holds the other end."""
    image_command: str = ""
    """The command that runs instead of the project's image; `serve`, `train` and so on follow. "" for the image."""
    sagemaker_instance_quota: int = 20
    """Instances of all running jobs and endpoints; Create answers ResourceLimitExceeded beyond it."""
    sagemaker_quotas: str = ""
    """Quotas of single instance types, `ml.m5.xlarge for transform job usage=0` and so on, separated by commas."""
    sagemaker_startup_seconds: float = 0.0
    """The wait before the container of a job or an endpoint starts, as AWS waits for an instance."""
    sagemaker_ping_seconds: float = 300.0
    """How long a container may take until it answers /ping."""
    sagemaker_create_rate: float = 0.0
    """Create calls a second before ThrottlingException; 0 for any number."""
    extensions: str = ""
    """Modules, separated by commas, that are imported and installed by `install()` at start: instruments of tests."""

    @classmethod
    def of(cls, environment: Mapping[str, str], project: Project) -> Options:
        """Read the options from `environment`; raise OptionError for a value that is not a number of the right type."""
        values: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            variable = project.variable(field.name.upper())
            text = environment.get(variable)
            if text is None:
                continue
            kind: Any = type(field.default)
            try:
                values[field.name] = kind(text)
            except ValueError:
                raise OptionError(f"{variable} is {text!r}, where {kind.__name__} is expected.") from None
        return cls(**values)
