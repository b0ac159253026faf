"""``wetread demo``: the whole service in a few minutes, on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from localcloud import cloud
from localcloud.home import home_of
from wetread.commands.session import Session, pass_session
from wetread.console import note
from wetread.demo import FOLDER
from wetread.problems import Problem
from wetread.project import PROJECT, require_clone


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Read the DICOM objects of this folder instead of phantoms.",
)
@click.option(
    "--size", default=512, show_default=True, type=click.IntRange(64, 1024), help="Rows and columns of the phantoms."
)
@click.option("--count", default=24, show_default=True, type=click.IntRange(1, 1000), help="How many phantoms.")
@pass_session
def demo(session: Session, *, data: Path | None, size: int, count: int) -> None:
    """Show the service at work: start the local cloud, upload, train a first model, show the results.

    Without --data it uploads phantoms: synthetic chest CT slices, a few spoilt ones that must be refused, and studies
    of several series.
    """
    require_clone()
    session.speak_locally()
    # Imported here because the phantoms need numpy and GDCM, which would slow every other command down.
    from wetread.demo import story  # noqa: PLC0415
    from wetread.demo.training import first_model  # noqa: PLC0415

    cloud.up(PROJECT, progress=note)
    connection = session.connection
    workspace = home_of(PROJECT).root / FOLDER
    uploads = story.folder_uploads(data) if data else story.phantom_uploads(workspace, count, size)
    sent = story.submit(connection, uploads)
    champion = connection.registry.champion()
    if champion:
        note(f"The champion is {champion.model_package}; no model needs to be made.")
    else:
        story.show_waiting(connection, sent.done)
        first_model(connection, workspace, session.now())
    rows = story.read(connection, uploads, sent.done)
    story.compare(rows, uploads)
    story.show_studies(connection, uploads, sent, session.now)
    surprises = story.surprises(rows, uploads)
    story.what_next(connection, rows)
    if surprises:
        raise Problem(f"{len(surprises)} uploads ended otherwise than they should.", "; ".join(surprises[:10]) + ".")
