"""``wetread endpoint``: the model behind a URL, until a person takes it down."""

from __future__ import annotations

import json
from pathlib import Path

import click

from functions.domain.artifact import read_artifact
from wetread import sdk
from wetread.commands.session import Session, pass_session
from wetread.connection import Connection
from wetread.console import Bar, note, warn
from wetread.models import artifacts, predictions
from wetread.models import endpoint as endpoints
from wetread.models.endpoint import Hosting, Served
from wetread.problems import ConfigProblem, Problem
from wetread.uploads.files import read_file

SERVERLESS_MB = ("1024", "2048", "3072", "4096", "5120", "6144")
"""Memory sizes that SageMaker offers, in MB."""


@click.group()
def endpoint() -> None:
    """Serve a model in real time: one endpoint, up until you take it down. It costs money while it is up."""


@endpoint.command()
@click.option("--model", "version", metavar="ID", help="A registered version.  [default: the champion]")
@click.option("--artifact", metavar="URI", help="A model.tar.gz at an s3:// URI, or a file here, instead.")
@click.option("--instance-type", help="The host.  [default: as for transform jobs]")
@click.option(
    "--serverless",
    "serverless_mb",
    type=click.Choice(SERVERLESS_MB),
    help="No host, but containers with so many MB that come with requests. Not network-isolated.",
)
@pass_session
def up(
    session: Session, *, version: str | None, artifact: str | None, instance_type: str | None, serverless_mb: str | None
) -> None:
    """Start the endpoint and wait until it serves: a few minutes on AWS. Prints its name."""
    if version and artifact:
        raise ConfigProblem("Give --model or --artifact, not both.", "Without either the champion serves.")
    if instance_type and serverless_mb:
        raise ConfigProblem("Give --instance-type or --serverless, not both.", "A serverless endpoint has no host.")
    sdk.require()
    connection = session.connection
    _check_none(connection)
    served = _of_artifact(connection, artifact) if artifact else _of_version(connection, version)
    hosting = Hosting(
        instance_type="" if serverless_mb else instance_type or connection.deployment.instance_type,
        serverless_memory_mb=int(serverless_mb or 0),
    )
    note(f"Starting {endpoints.name_of(connection)} with {served.called} ({hosting}).")
    endpoints.create(connection, served, hosting)
    _wait(connection)
    click.echo(endpoints.name_of(connection))
    called = connection.called
    note(f"Ask it: `{called} endpoint invoke FILE`. It costs money until you end it: `{called} endpoint down`.")


@endpoint.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print the model's answers (prediction/2) as a JSON list.")
@pass_session
def invoke(session: Session, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Send FILES to the endpoint and show what its model answers, as `wetread predict` does. Nothing is stored."""
    connection = session.connection
    with Bar("Asking", len(files)) as bar:
        found = []
        for file in files:
            found.append(json.loads(endpoints.invoke(connection, read_file(file))))
            bar.advance()
    predictions.show(files, found, as_json=as_json)


@endpoint.command()
@pass_session
def down(session: Session) -> None:
    """End the endpoint and delete all that was made for it; return when it is gone. Safe to repeat."""
    connection = session.connection
    name = endpoints.name_of(connection)
    gone = endpoints.delete(connection)
    note(f"{name} is gone, and costs nothing more." if gone else f"There is no {name}: nothing to end.")


def _check_none(connection: Connection) -> None:
    found = endpoints.find(connection)
    if found:
        raise ConfigProblem(
            f"{found.name} is {found.status} already, with {found.serves} ({found.hosting}).",
            f"End it first: `{connection.called} endpoint down`.",
        )


def _of_version(connection: Connection, wanted: str | None) -> Served:
    """Return the champion, or a version that was named."""
    registry = connection.registry
    if wanted is None:
        champion = registry.champion()
        if champion is None:
            raise ConfigProblem("There is no champion.", "Name a version with --model, or an artifact with --artifact.")
        wanted = champion.model_package
    version = registry.version(wanted)
    withdrawal = connection.champions.withdrawal(version.model_package)
    if withdrawal:
        warn(f"{version.model_package} is withdrawn: {withdrawal.reason}")
    return Served(called=version.model_package, artifact_uri=registry.artifact_uri(version))


def _of_artifact(connection: Connection, named: str) -> Served:
    """Check an artifact that may not be a version, put it where the endpoint's role reads, and return the model."""
    with artifacts.at_hand(connection, named) as path:
        artifact = read_artifact(path)
        labels = connection.deployment.labels
        if artifact.labels != labels:
            raise ConfigProblem(
                f"The artifact distinguishes {', '.join(artifact.labels)}, and this service {', '.join(labels)}.",
                "Take another artifact, or deploy a stage with these labels.",
            )
        uri = connection.registry.store(artifact)
    return Served(called=f"artifact {artifact.sha256[:12]}", artifact_uri=uri)


def _wait(connection: Connection) -> None:
    """Wait for the endpoint; delete it at once if it fails, so that it costs nothing."""
    try:
        endpoints.wait(connection)
    except Problem as problem:
        if problem.exit_code == Problem.exit_code:
            endpoints.delete(connection)
            raise Problem(
                problem.what, f"It was ended again. Its log is {endpoints.log_group(connection)} in CloudWatch."
            ) from problem
        raise
