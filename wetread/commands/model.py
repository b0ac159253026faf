"""``wetread model``: versions of the model, and which one reads."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from functions.aws.champion import Champion
from functions.aws.registry import ModelVersion
from wetread.commands.session import Session, pass_session
from wetread.console import note, print_json, print_table
from wetread.formats import ago

COLUMNS = ("", "Version", "Name", "Its version", "Approval", "Created", "Artifact")


@click.group()
def model() -> None:
    """List, register and promote model versions. Promotion needs no deployment."""


@model.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@pass_session
def list_(session: Session, *, as_json: bool) -> None:
    """Show all versions, newest first; the champion is marked."""
    registry = session.connection.registry
    champion, versions = registry.champion(), registry.versions()
    if as_json:
        print_json([_document(version, champion) for version in versions])
    elif versions:
        print_table(COLUMNS, (_line(version, champion, session.now()) for version in versions))
    else:
        note("No version is registered: `wetread model register model.tar.gz` adds one.")


@model.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@pass_session
def register(session: Session, file: Path) -> None:
    """Store a model.tar.gz and make it a version. The same file again changes nothing."""
    version = session.connection.registry.register(file)
    click.echo(version.model_package)
    note(f"Registered. `wetread model promote {version.model_package}` makes it the champion.")


@model.command()
@click.argument("version")
@pass_session
def promote(session: Session, version: str) -> None:
    """Make VERSION (<group>/<number>, or the number) the champion: new batches use it at once.

    To roll back, promote the version before.
    """
    champion = session.connection.registry.promote(version)
    click.echo(champion.model_package)
    note(f"It is the champion now{f', after {champion.previous}' if champion.previous else ''}.")
    if champion.previous:
        note(f"What {champion.previous} answered: `wetread results --model {champion.previous}`.")


def _document(version: ModelVersion, champion: Champion | None) -> dict[str, Any]:
    return {
        "ModelPackage": version.model_package,
        "ModelPackageArn": version.arn,
        "ModelApprovalStatus": version.approval,
        "CreatedAt": version.created_at,
        "Name": version.name,
        "Version": version.version,
        "ArtifactSHA256": version.artifact_sha256,
        "Champion": champion is not None and champion.model_package == version.model_package,
    }


def _line(version: ModelVersion, champion: Champion | None, now: datetime) -> tuple[str, ...]:
    return (
        "champion" if champion and champion.model_package == version.model_package else "",
        version.model_package,
        version.name,
        version.version,
        version.approval,
        ago(version.created_at, now),
        version.artifact_sha256[:12],
    )
