"""Start a training run: upload labelled files to the training bucket, then start an execution on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches

from functions.domain import layout
from functions.domain.entry import composed
from functions.domain.errors import InvalidRequest
from functions.domain.request import HYPERPARAMETERS, is_hyperparameter, parse
from wetread.connection import Connection
from wetread.console import Bar, how_many, note
from wetread.problems import ConfigProblem, Problem
from wetread.training.cohorts import LabelledFiles, store
from wetread.training.initial_weights import WeightsFile
from wetread.training.runs import Run, execution_name

NOTHING = "Nothing was uploaded or started."


def request(
    connection: Connection,
    labels: LabelledFiles | str,
    *,
    accepted_risks: Sequence[str] = (),
    seed: int = 0,
    hyperparameters: Mapping[str, str],
    weights: WeightsFile | None = None,
    own_code: bool = False,
) -> dict[str, object]:
    """Return the execution input for labels here or at an s3:// URI.

    Raises ConfigProblem when the workflow would not take it, or the training not its hyperparameters or classes, before
    anything is uploaded. With ``own_code`` the hyperparameters may have any name.
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
        raise ConfigProblem(str(error), NOTHING) from error
    problems = [] if own_code else list(_unknown_hyperparameters(hyperparameters))
    if not isinstance(labels, str):
        problems += _unknown_classes(labels, connection.deployment.labels)
    if problems:
        raise ConfigProblem("\n".join(problems), NOTHING)
    return document


def _unknown_hyperparameters(names: Mapping[str, str]) -> Iterator[str]:
    for name in names:
        if not is_hyperparameter(name):
            meant = get_close_matches(name.replace("-", "_"), HYPERPARAMETERS, n=1)
            hint = f"; did you mean {meant[0]}?" if meant else "."
            yield f"There is no hyperparameter {name!r:.80}{hint} Known: {', '.join(HYPERPARAMETERS)}."


def _unknown_classes(labelled: LabelledFiles, known: Sequence[str]) -> Iterator[str]:
    spelled = {composed(label) for label in known}
    given = (label for one in labelled.entries for label in (one.label, one.study_label) if label)
    counts = Counter(label for label in given if composed(label) not in spelled)
    for label, count in sorted(counts.items()):
        entries = "1 entry has" if count == 1 else f"{count:,} entries have"
        yield f"{entries} the class {label!r:.80}; this stage knows: {', '.join(known)}."


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
