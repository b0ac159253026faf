"""``wetread model``: versions of the model, and which one reads."""

from __future__ import annotations

import click

from wetread.commands.rollback import rescore, rollback
from wetread.commands.session import Session, pass_session
from wetread.console import note, print_json, print_table
from wetread.models import artifacts
from wetread.models.versions import COLUMNS, standing_of, standings
from wetread.training import documents, evaluations


@click.group()
def model() -> None:
    """List, register, promote and withdraw model versions. None of it needs a deployment."""


@model.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@pass_session
def list_(session: Session, *, as_json: bool) -> None:
    """Show all versions, newest first; the champion and what is withdrawn are marked."""
    found = standings(session.connection.registry.versions(), session.connection.champions)
    if as_json:
        print_json([one.to_json() for one in found])
    elif found:
        print_table(COLUMNS, (one.line(session.now()) for one in found))
    else:
        note("No version is registered: `wetread train --labels PATH` makes one, `wetread model register` adds one.")


@model.command()
@click.argument("version")
@click.option("--json", "as_json", is_flag=True, help="Print it, with its whole evaluation, as JSON.")
@pass_session
def show(session: Session, version: str, *, as_json: bool) -> None:
    """Show VERSION (<group>/<number>, or the number) in full: its figures, where it comes from, its state."""
    connection = session.connection
    found, champions = connection.registry.version(version), connection.champions
    standing = standing_of(found, champions)
    evaluation = documents.read(connection, found.evaluation_uri)
    if as_json:
        print_json(standing.to_json() | {"Evaluation": evaluation})
        return
    print_table(("Version", found.model_package), standing.facts(), elastic=(found.model_package,))
    if evaluation:
        evaluations.show(evaluation, in_full=True)
        note("Figures with 95 % intervals over patients. They are of these cases alone, and no clinical accuracy.")
    elif found.evaluation_uri:
        note(f"There is no evaluation to be read at {found.evaluation_uri} any more.")


@model.command()
@click.argument("artifact")
@pass_session
def register(session: Session, artifact: str) -> None:
    """Store ARTIFACT, a model.tar.gz here or at an s3:// URI, and make it a version. The same again changes nothing."""
    connection = session.connection
    with artifacts.at_hand(connection, artifact) as path:
        version = connection.registry.register(path)
    click.echo(version.model_package)
    champion = connection.registry.champion()
    if champion and champion.model_package == version.model_package:
        note("It is registered, and is the champion.")
        return
    note(f"Registered. `wetread model promote {version.model_package}` makes it the champion.")


@model.command()
@click.argument("version")
@pass_session
def promote(session: Session, version: str) -> None:
    """Make VERSION (<group>/<number>, or the number) the champion: new batches use it at once.

    No gate is asked. To take a champion back, and its results with it, see `wetread model rollback`.
    """
    champion = session.connection.registry.promote(version)
    click.echo(champion.model_package)
    note(f"It is the champion now{f', after {champion.previous}' if champion.previous else ''}.")
    note(f"Recorded as promoted by {champion.promoted_by}.")
    if champion.previous:
        note(f"What {champion.previous} answered: `wetread results --model {champion.previous}`.")


model.add_command(rollback)
model.add_command(rescore)
