"""``wetread train``: labelled slices into the training bucket, a run of the training workflow on them, and its end."""

from __future__ import annotations

from pathlib import Path

import click
from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.items import error_code
from functions.domain.verdict import Risk
from wetread.commands.runs import show
from wetread.commands.session import Session, pass_session
from wetread.commands.training_options import hyperparameters_of, seed_option, settings_option, weights_options
from wetread.connection import Connection
from wetread.console import note
from wetread.operations import quotas
from wetread.problems import ConfigProblem
from wetread.training import cohorts, run_report, starting
from wetread.training import initial_weights as weights_files
from wetread.training.following import follow
from wetread.training.prospects import cost_of_folds, prospects
from wetread.training.runs import GOOD


@click.command()
@click.option(
    "--labels",
    required=True,
    metavar="PATH",
    help="A manifest.json or labels.csv, a folder that holds one of them, or an s3:// URI in the training bucket.",
)
@click.option("--wait/--no-wait", "waits", help="Follow the run to its end.  [default: no-wait]")
@click.option(
    "--accept-risk",
    "accepted_risks",
    type=click.Choice([risk.value for risk in Risk]),
    metavar="CODE",
    multiple=True,
    help="A finding of the data gate that you accept; recorded on the model for good. May be given more than once.",
)
@click.option(
    "--despite-quota",
    is_flag=True,
    help="Start even if a quota of the account is too small for a job: AWS's list may be behind an increase.",
)
@seed_option
@settings_option
@weights_options
@pass_session
def train(
    session: Session,
    *,
    labels: str,
    waits: bool,
    accepted_risks: tuple[str, ...],
    despite_quota: bool,
    seed: int,
    settings: tuple[str, ...],
    initial_weights: Path | None,
    weights_licence: str | None,
) -> None:
    """Train a model on labelled slices; the workflow evaluates it and makes it champion if it is good enough.

    Files that the labels name are looked for below the folder that the labels lie in. What the training bucket holds
    already is not sent again. Prints the run's id, and before it how often the gates would pass a candidate on so many
    patients, and how much more a training by folds costs.

    Nothing is sent or started where a quota of the account is too small for a job of the run.

    With --wait it exits with 1 when the run is rejected or fails.
    """
    hyperparameters = hyperparameters_of(settings)
    weights = weights_files.read(initial_weights, weights_licence)
    source = labels if labels.startswith("s3://") else cohorts.read(Path(labels))
    connection = session.connection
    document = starting.request(
        connection,
        source,
        accepted_risks=accepted_risks,
        seed=seed,
        hyperparameters=hyperparameters,
        weights=weights,
    )
    if not despite_quota:
        _check_quotas(connection)
    named = not isinstance(source, str) and any(one.split for one in source.entries)
    folds = 0 if named else connection.deployment.folds
    if folds:
        note(cost_of_folds(folds, connection.deployment.job_hosts))
    if not isinstance(source, str):
        for sentence in prospects(source, folds, connection.deployment.thresholds):
            note(sentence)
        starting.send(connection, source)
    if weights:
        weights_files.send(connection, weights)
    run = starting.start(connection, document, session.now())
    click.echo(run.run_id)
    if not waits:
        note(f"Follow it with `{connection.called} runs {run.run_id}`.")
        return
    run = follow(connection, run)
    places = None if isinstance(source, str) else source.places
    show(session, connection, run, run_report.reasons(connection, run, places))
    if run.outcome not in GOOD:
        raise click.exceptions.Exit(1)


def _check_quotas(connection: Connection) -> None:
    """Raise ConfigProblem if a job of the run can never start: it would fail after the states before it."""
    shortages = []
    try:
        for shortage in quotas.hopeless(connection, "training job", "processing job"):
            shortages.append(shortage)  # noqa: PERF402  # what was found before an error counts
    except (BotoCoreError, ClientError) as error:
        why = error_code(error) if isinstance(error, ClientError) else type(error).__name__
        note(f"Whether the account's quotas suffice could not be asked ({why}).")
    if shortages:
        what = " ".join(one.what for one in shortages)
        remedies = " ".join(one.remedy for one in shortages)
        raise ConfigProblem(
            f"The run would fail: {what} Nothing was uploaded or started.",
            f"{remedies} To start in spite of it: --despite-quota.",
        )
