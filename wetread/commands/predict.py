"""``wetread predict``: the model's answer for files on this machine, without the service around it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from functions.domain import layout
from functions.domain.artifact import sha256_of
from localcloud.containers.container import Container, ContainerError, InvocationError
from wetread.commands.session import Session, pass_session
from wetread.console import Bar, note
from wetread.models import predictions
from wetread.problems import ConfigProblem, Problem
from wetread.project import PROJECT
from wetread.uploads.files import read_file


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--model",
    "artifact",
    type=click.Path(path_type=Path, exists=True),
    help="A model.tar.gz, or the folder that one was extracted to.  [default: the champion's]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the model's answers (prediction/2) as a JSON list.")
@pass_session
def predict(session: Session, files: tuple[Path, ...], *, artifact: Path | None, as_json: bool) -> None:
    """Run the model's container on this machine and show what it answers. Nothing is uploaded or stored."""
    if artifact is not None:
        note(f"no cloud: {artifact} runs on this machine; the service knows no digest to compare it with")
        found = run(artifact, files)
    else:
        with tempfile.TemporaryDirectory() as folder:
            found = run(_champion(session, Path(folder)), files)
    predictions.show(files, found, as_json=as_json)


def run(artifact: Path, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Serve ``artifact`` in a separate container and post each file to it; the answers are prediction/2 documents."""
    try:
        with Bar("Predicting", len(files)) as bar, Container(PROJECT, artifact) as container:
            found = []
            for file in files:
                found.append(json.loads(container.invoke(read_file(file))))
                bar.advance()
            return found
    except (ContainerError, InvocationError) as error:
        raise Problem(f"The model's container failed with {artifact.name}.", str(error)) from error


def _champion(session: Session, folder: Path) -> Path:
    """Download the champion's artifact, and raise Problem unless it has the digest that was promoted.

    Here its code runs with all that this person may do, so nothing of it is opened before.
    """
    connection = session.connection
    champion = connection.registry.champion()
    if champion is None:
        raise ConfigProblem(
            "There is no champion.", "Promote a version (`wetread model --help`), or name a file with --model."
        )
    artifact = folder / "model.tar.gz"
    key = layout.artifact_key(champion.artifact_sha256)
    connection.s3.download_file(connection.deployment.models_bucket_name, key, str(artifact))
    found = sha256_of(artifact)
    if found != champion.artifact_sha256:
        raise Problem(
            f"The artifact of {champion.model_package} has the SHA-256 {found}, promoted was "
            f"{champion.artifact_sha256}: it was replaced, and nothing of it was run.",
            "See ArtifactChanged in docs/operations.md.",
        )
    note(f"champion {champion.model_package} runs on this machine")
    return artifact
