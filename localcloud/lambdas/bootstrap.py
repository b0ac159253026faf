"""Runs a function as `python -m awslambdaric` does, on a Runtime API whose address has a secret path.

Linked beside AWS's runtime client and run there, so it imports nothing of this project. The client takes the address
with its path everywhere but where it reports a failed start.
"""

import os
import sys
from typing import Any

from awslambdaric import bootstrap
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient


class Client(LambdaRuntimeClient):  # type: ignore[misc]
    """AWS's client, for an address `host:port/path`."""

    def __init__(self, address: str):
        host, _, path = address.partition("/")
        super().__init__(host)
        self._path = path

    def call_rapid(self, http_method: str, endpoint: str, *arguments: Any, **options: Any) -> None:
        """Call an endpoint below the path."""
        super().call_rapid(http_method, f"/{self._path}{endpoint}", *arguments, **options)


if __name__ == "__main__":
    bootstrap.run(sys.argv[1], Client(os.environ["AWS_LAMBDA_RUNTIME_API"]))
