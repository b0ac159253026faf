"""Synthesise a project's CDK app for one stage into a cloud assembly, without the CDK command line."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from localcloud.account import ACCOUNT_ID, REGION
from localcloud.project import Project


class SynthesisError(Exception):
    """The app failed; the message has the end of its output."""


def fingerprint(project: Project, stage: str) -> str:
    """Return a digest of everything that the assembly is made from: equal digests, equal assemblies."""
    digest = hashlib.sha256(f"{stage}\0{sys.version}".encode())
    for source in project.sources:
        path = project.folder / source
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"\0{file.relative_to(project.folder)}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()


def synthesise(project: Project, stage: str, output: Path) -> None:
    """Write the assembly of `stage` to the folder `output`; raise SynthesisError when the app fails."""
    environment = {
        **os.environ,
        # jsii needs `node`, which a package installs beside the interpreter.
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        "CDK_OUTDIR": str(output),
        "CDK_CONTEXT_JSON": json.dumps({**_context(project.folder), "stage": stage}),
        "CDK_DEFAULT_ACCOUNT": ACCOUNT_ID,
        "CDK_DEFAULT_REGION": REGION,
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    }
    finished = subprocess.run(  # noqa: S603 (the project's own command)
        list(project.synthesise),
        cwd=project.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise SynthesisError(
            f"{shlex.join(project.synthesise)} failed for stage {stage!r} with status {finished.returncode}:\n"
            + "\n".join(finished.stderr.splitlines()[-30:])
        )


def _context(folder: Path) -> dict[str, object]:
    """Return the context in cdk.json, which the CDK command line would pass to the app."""
    path = folder / "cdk.json"
    context: dict[str, object] = json.loads(path.read_text()).get("context", {}) if path.exists() else {}
    return context
