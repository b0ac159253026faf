"""``wetread experiment``: a training job by hand, outside the workflow and its gates."""

from __future__ import annotations

from pathlib import Path

import click

from wetread.commands.session import Session, pass_session
from wetread.commands.training_options import hyperparameters_of, seed_option, settings_option, weights_options
from wetread.console import note
from wetread.problems import ConfigProblem
from wetread.training import experiments
from wetread.training import initial_weights as weights_files
from wetread.training.job import follow


@click.command()
@click.option(
    "--labels",
    metavar="PATH",
    help="A manifest.json or labels.csv, a folder that holds one of them, or an s3:// URI in the training bucket.",
)
@click.option(
    "--code",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A changed copy of model_code/ to train with.  [default: the image's own]",
)
@seed_option
@settings_option
@weights_options
@click.option("--attach", metavar="JOB", help="Follow an experiment that was started before, instead of a new one.")
@pass_session
def experiment(
    session: Session,
    *,
    labels: str | None,
    code: Path | None,
    seed: int,
    settings: tuple[str, ...],
    initial_weights: Path | None,
    weights_licence: str | None,
    attach: str | None,
) -> None:
    """Train on labelled slices in a separate SageMaker job, and print where its model.tar.gz is.

    The labels are checked, frozen and split as by `wetread train`, on the same hosts; but nothing is audited, no gate
    is asked, and nothing becomes a version, let alone the champion, unless you register and promote it by hand.
    """
    if bool(labels) == bool(attach):
        raise ConfigProblem("Give either --labels or --attach.", "--labels starts an experiment, --attach follows one.")
    connection = session.connection
    job = attach or experiments.begin(
        connection,
        str(labels),
        seed=seed,
        hyperparameters=hyperparameters_of(settings),
        now=session.now(),
        code=code,
        weights=weights_files.read(initial_weights, weights_licence),
    )
    trained = follow(connection, job, note)
    for name, value in trained.metrics.items():
        note(f"  {name} = {value:.4g}")
    click.echo(trained.artifact_uri)
    note("Not audited, not evaluated on patients that it has not seen, and no version of anything. If you want it:")
    note(f"  {connection.called} model register {trained.artifact_uri}")
