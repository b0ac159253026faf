"""The demo's first model: a run of the training workflow on a cohort of phantoms, watched to its promotion."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from wetread.connection import Connection
from wetread.console import note
from wetread.demo.phantoms import write_cohort
from wetread.problems import Problem
from wetread.training import cohorts, documents, evaluations, reports, run_report, starting
from wetread.training.following import follow
from wetread.training.runs import Run

PURPOSE = "demo"
"""How the execution names of the demo's runs begin."""
PATIENTS, SLICES, SIZES, SEED = 360, 1, (160, 256, 512), 0
HYPERPARAMETERS = {
    "epochs": "10",
    "image_size": "64",
    "batch_size": "8",
    "learning_rate": "5e-4",
    "model_name": "phantom-ct",
}
"""Enough for the gates at every level of the chest: many patients improve training and measurement more than many
slices of a few, and 64 pixels, which show these lesions, take less than half the time of 96. Noise looks different in
slices of another size, so a model of one size abstains on a fifth of the others'."""


def first_model(connection: Connection, workspace: Path, now: datetime) -> None:
    """Train on phantoms until a model is promoted, and save its report in ``workspace``.

    A run that an interrupted demo has left is waited for. Raises Problem when the run promotes nothing.
    """
    run = _left_over(connection) or _start(connection, workspace / "training", now)
    run = follow(connection, run)
    if run.outcome != "Promoted":
        raise Problem(f"Run {run.run_id} made no champion: it is {run.outcome}.", _why(connection, run))
    evaluation = documents.read(connection, str(run.output["EvaluationUri"]))
    if evaluation:
        evaluations.show(evaluation)
    workspace.mkdir(parents=True, exist_ok=True)
    report = workspace / "report.html"
    note(f"Run {run.run_id} passed both gates: {run.model_package} is the champion, and what waits is read now.")
    reasons = run_report.reasons(connection, run)
    if reports.save(connection, run, reasons, report, "wetread --local") is not None:
        note(f"Its report, for a browser: {_from_here(report)}")


def _left_over(connection: Connection) -> Run | None:
    run = next((one for one in connection.runs.running() if one.name.startswith(f"{PURPOSE}-")), None)
    if run:
        note(f"Run {run.run_id} of an earlier demo is at work: waiting for it.")
    return run


def _start(connection: Connection, folder: Path, now: datetime) -> Run:
    note(
        f"Training a first model on {PATIENTS} phantom patients: the workflow checks and splits them, trains, and "
        "evaluates the model on patients that it has not seen. It knows nothing of real ones."
    )
    write_cohort(folder, PATIENTS, SLICES, SIZES, SEED)
    labelled = cohorts.read(folder)
    document = starting.request(connection, labelled, seed=SEED, hyperparameters=HYPERPARAMETERS)
    starting.send(connection, labelled)
    return starting.start(connection, document, now, PURPOSE)


def _why(connection: Connection, run: Run) -> str:
    found = run_report.reasons(connection, run)
    reasons = " ".join(f"{one.code}: {one.message}" for one in found if not one.accepted)
    return f"{(reasons or run_report.failure(run)).rstrip('. ')}. See `wetread --local runs {run.run_id}`."


def _from_here(path: Path) -> str:
    """Return a path relative to the working folder if it is below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
