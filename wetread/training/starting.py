"""Start a training run: upload labelled files to the training bucket, then start an execution on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from functions.domain import layout
from functions.domain.errors import InvalidRequest
from functions.domain.request import parse
from wetread.connection import Connection
from wetread.console import Bar, how_many, note
from wetread.problems import ConfigProblem, Problem
from wetread.training.cohorts import LabelledFiles, store
from wetread.training.initial_weights import WeightsFile
from wetread.training.runs import Run, execution_name


def request(
    connection: Connection,
    labels: LabelledFiles | str,
    *,
    accepted_risks: Sequence[str] = (),
    seed: int = 0,
    hyperparameters: Mapping[str, str],
    weights: WeightsFile | None = None,
) -> dict[str, object]:
    """Return the execution input for labels here or at an s3:// URI.

    Raises ConfigProblem when the workflow would not take it, before anything is uploaded.
    """
    bucket = connection.deployment.training_bucket_name
    document = {
        "LabelsUri": labels if isinstance(labels, str) else layout.uri(bucket, labels.labels.key),
        "AcceptedRisks": list(accepted_risks),
        "Seed": seed,
        "HyperParameters": dict(hyperparameters),
    } | ({"InitialWeights": weights.request(bucket)} if weights else {})
    try:
        parse(document, bucket)
    except InvalidRequest as error:
        raise ConfigProblem(str(error), "Nothing was uploaded or started.") from error
    return document


def send(connection: Connection, labelled: LabelledFiles) -> None:
    """Upload missing files to the training bucket, with a progress bar; raises Problem if a file cannot be sent."""
    with Bar("Uploading", len(labelled.files)) as bar:
        stored = store(connection.s3, connection.deployment.training_bucket_name, labelled, bar.advance)
    if stored.failed:
        raise Problem(
            f"{len(stored.failed)} of {how_many(len(labelled.files), 'file')} could not be uploaded, so no run was "
            f"started. The first is {str(stored.failed[0].source.path)!r}: {stored.failed[0].reason}",
            "Repair the cause and start again: what is there already is not sent again.",
        )
    note(f"Uploaded {how_many(stored.sent, 'file')}; {stored.kept:,} were in the training bucket already.")


def start(connection: Connection, document: Mapping[str, object], now: datetime, purpose: str = "train") -> Run:
    """Start an execution on an input that ``request`` made."""
    run = connection.runs.start(execution_name(purpose, now), document)
    note(f"Run {run.run_id} has started (execution {run.name}).")
    return run
