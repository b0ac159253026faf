"""Shows that the real CDK CLI works against the local cloud: bootstrap, deploy, and a diff that finds nothing.

    python -m assurance.cdk_cli

Needs the npm registry for the CLI, and nothing else; it takes a local cloud of its own and leaves nothing behind.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from localcloud import cloud
from localcloud.account import ACCOUNT_ID, REGION
from wetread.project import PROJECT

CLI = "aws-cdk@2.1148.1"  # "latest" on npm is older than it looks and cannot read today's assemblies
STAGE = ("--context", "stage=local")
ROOT = Path(__file__).parents[1]


def main() -> int:
    """Run the CLI's three commands in turn; return the first exit status that is not 0."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["WETREAD_HOME"] = f"{scratch}/home"
        here = cloud.start(PROJECT, click.echo, tether=True)
        # The endpoint comes by the environment; jsii and npx need the node that setting up put beside the interpreter.
        environment = os.environ | here.environment() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        try:
            for arguments in (
                ("bootstrap", f"aws://{ACCOUNT_ID}/{REGION}"),
                ("deploy", "--require-approval", "never"),
                ("diff", "--fail"),
            ):
                status = _cdk(environment, scratch, *arguments)
                if status:
                    return status
        finally:
            cloud.down(PROJECT, wipe=True)
    return 0


def _cdk(environment: Mapping[str, str], scratch: str, command: str, *arguments: str) -> int:
    click.echo(f"\ncdk {command}")
    line = ["npx", "--yes", CLI, command, *arguments, *STAGE, "--output", f"{scratch}/cdk.out", "--no-notices"]
    return subprocess.run(line, env=environment, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
