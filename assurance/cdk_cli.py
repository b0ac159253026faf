"""Shows that the real CDK CLI works against the local cloud: bootstrap, deploy, and a diff that finds nothing.

    python -m assurance.cdk_cli

Needs the npm registry for the CLI, and nothing else; it starts a separate local cloud and leaves nothing behind. npm
installs only packages with the digest in infra/cli/package-lock.json, and runs no script of a package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from localcloud import cloud
from localcloud.account import ACCOUNT_ID, REGION
from wetread.project import PROJECT

INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
STAGE = ("--context", "stage=local")
ROOT = Path(__file__).parents[1]
CLI = ROOT / "infra" / "cli"  # the version and its digest; "latest" on npm cannot read today's assemblies


def main() -> int:
    """Run the CLI's three commands in turn; return the first non-zero exit status, or 0."""
    with tempfile.TemporaryDirectory() as scratch:
        # npm, jsii and the CLI need the node that `make setup` put beside the interpreter.
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        status = install(Path(scratch, "cli"), environment)
        if status:
            return status
        os.environ["WETREAD_HOME"] = f"{scratch}/home"
        here = cloud.start(PROJECT, click.echo, tether=True)
        environment |= here.environment() | {"WETREAD_HOME": f"{scratch}/home"}  # the endpoint and credentials
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


def install(folder: Path, environment: Mapping[str, str]) -> int:
    """Create ``folder``, install the CLI there by its lock, and return npm's exit status."""
    click.echo("npm ci")
    shutil.copytree(CLI, folder, ignore=shutil.ignore_patterns("node_modules"))
    return subprocess.run(INSTALL, env=environment, cwd=folder, check=False).returncode


def _cdk(environment: Mapping[str, str], scratch: str, command: str, *arguments: str) -> int:
    click.echo(f"\ncdk {command}")
    cli = f"{scratch}/cli/node_modules/.bin/cdk"
    line = [cli, command, *arguments, *STAGE, "--output", f"{scratch}/cdk.out", "--no-notices"]
    return subprocess.run(line, env=environment, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
