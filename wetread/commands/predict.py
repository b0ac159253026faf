"""``wetread predict``: the model's answer for files on this machine, without the service around it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from functions.domain import layout
from wetread.commands.session import Session, pass_session
from wetread.console import Bar, note, print_json, print_table
from wetread.local.container import Container, ContainerError, InvocationError
from wetread.problems import ConfigProblem, Problem

COLUMNS = ("File", "Class", "Probability", "Others")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--model",
    "artifact",
    type=click.Path(path_type=Path, exists=True),
    help="A model.tar.gz, or the folder that one was extracted to.  [default: the champion's]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the model's answers (prediction/1) as a JSON list.")
@pass_session
def predict(session: Session, files: tuple[Path, ...], *, artifact: Path | None, as_json: bool) -> None:
    """Run the model's container on this machine and show what it answers. Nothing is uploaded or stored."""
    if artifact is not None:
        note(f"no cloud: {artifact} runs on this machine")
        answers = run(artifact, files)
    else:
        with tempfile.TemporaryDirectory() as folder:
            answers = run(_champion(session, Path(folder)), files)
    if as_json:
        print_json([{"File": str(file), **answer} for file, answer in zip(files, answers, strict=True)])
    else:
        lines = [_line(file, answer) for file, answer in zip(files, answers, strict=True)]
        print_table(COLUMNS, lines, elastic=("File", "Others"))
    failed = sum("Error" in answer for answer in answers)
    if failed:
        raise Problem(f"The model could not read {failed} of {len(files)} files.", "Their messages say why.")


def run(artifact: Path, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Serve ``artifact`` in a container of its own and post each file to it; the answers are prediction/1 documents."""
    try:
        with Bar("Predicting", len(files)) as bar, Container(artifact) as container:
            answers = []
            for file in files:
                answers.append(json.loads(container.invoke(file.read_bytes())))
                bar.advance()
            return answers
    except (ContainerError, InvocationError) as error:
        raise Problem(f"The model's container failed with {artifact.name}.", str(error)) from error


def _champion(session: Session, folder: Path) -> Path:
    connection = session.connection
    champion = connection.registry.champion()
    if champion is None:
        raise ConfigProblem(
            "There is no champion.", "Promote a version (`wetread model --help`), or name a file with --model."
        )
    note(f"champion {champion.model_package} runs on this machine")
    artifact = folder / "model.tar.gz"
    key = layout.artifact_key(champion.artifact_sha256)
    connection.s3.download_file(connection.deployment.models_bucket_name, key, str(artifact))
    return artifact


def _line(file: Path, answer: dict[str, Any]) -> tuple[str, ...]:
    if "Error" in answer:
        return (str(file), answer["Error"]["Code"], "-", answer["Error"]["Message"])
    found = answer["Class"]
    others = ", ".join(f"{name} {100 * p:.1f} %" for name, p in answer["Probabilities"].items() if name != found)
    return (str(file), found, f"{100 * answer['Probabilities'][found]:.1f} %", others)
