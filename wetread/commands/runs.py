"""``wetread runs``: the runs of the training workflow, and one of them in full."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from wetread.commands.session import Session, pass_session
from wetread.connection import Connection
from wetread.console import note, print_json, print_table, program
from wetread.formats import span
from wetread.problems import ConfigProblem
from wetread.training import documents, evaluations, run_report
from wetread.training.following import progress, state_of
from wetread.training.run_report import Reason
from wetread.training.runs import RUNNING, Run

COLUMNS = ("Run", "Started", "Took", "Outcome", "Model", "Execution")
URIS = {"Snapshot": "SnapshotUri", "Audit": "AuditUri", "Evaluation": "EvaluationUri", "Report": "ReportUri"}


@click.command()
@click.argument("run", required=False)
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="Save the HTML report of RUN as this file."
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="At most so many runs.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@pass_session
def runs(session: Session, run: str | None, *, report: Path | None, limit: int, as_json: bool) -> None:
    """Show the runs of the training workflow, newest first; or RUN in full: an id, its beginning, or an execution."""
    connection = session.connection
    if run is None:
        if report:
            raise ConfigProblem("--report needs a run.", "Write `wetread runs RUN --report FILE`.")
        _list(connection.runs.newest(limit), session.now(), as_json=as_json)
        return
    found = connection.runs.find(run)
    reasons = run_report.reasons(connection, found)
    if as_json:
        listed = [{"Code": one.code, "Message": one.message, "Accepted": one.accepted} for one in reasons]
        state = {"State": state_of(connection.stepfunctions, found.arn)} if found.outcome == RUNNING else {}
        print_json(found.to_json() | state | {"Reasons": listed})
    else:
        show(session, connection, found, reasons)
    if report:
        _save_report(connection, found, report)


def show(session: Session, connection: Connection, run: Run, reasons: Sequence[Reason]) -> None:
    """Print a run in full: its input, outcome, figures, every reason, and what to do next."""
    print_table(("Run", run.run_id), _facts(connection, run, session.now()), elastic=(run.run_id,))
    evaluation = documents.read(connection, str(run.output.get("EvaluationUri", "")))
    if evaluation:
        evaluations.show(evaluation)
    if reasons:
        ordered = sorted(reasons, key=lambda one: one.accepted)
        rows = [(one.code, "accepted" if one.accepted else "", one.message) for one in ordered]
        print_table(("Reason", "", "Message"), rows, elastic=("Message",), title="Reasons")
    called = f"{program()} --local" if connection.local else program()
    for line in run_report.advice(run, reasons, called):
        note(line)


def _list(newest: Sequence[Run], now: datetime, *, as_json: bool) -> None:
    if as_json:
        print_json([run.to_json() for run in newest])
    elif newest:
        print_table(COLUMNS, (_line(run, now) for run in newest))
    else:
        note("There was no run yet: `wetread train --labels PATH` starts one.")


def _line(run: Run, now: datetime) -> tuple[str, ...]:
    return (
        run.run_id,
        f"{span((now - run.started).total_seconds())} ago",
        span(run.seconds(now)),
        run.outcome,
        run.model_package or "-",
        run.name,
    )


def _facts(connection: Connection, run: Run, now: datetime) -> list[tuple[str, str]]:
    facts = {"Execution": run.name, "Outcome": run.outcome}
    if run.outcome == RUNNING:
        facts["State"] = progress(connection, run)
    facts["Started"] = f"{run.started:%Y-%m-%d %H:%M:%S %Z}, took {span(run.seconds(now))}"
    if run.failed:
        facts["Failed in"] = progress(connection, run)
        facts["Failure"] = run_report.failure(run)
    facts["Input"] = json.dumps(run.input)
    facts["Model"] = run.model_package
    facts |= {title: str(run.output.get(name, "")) for title, name in URIS.items()}
    return [(name, value) for name, value in facts.items() if value]


def _save_report(connection: Connection, run: Run, path: Path) -> None:
    try:
        saved = documents.save(connection, str(run.output.get("ReportUri", "")), path)
    except OSError as error:
        raise ConfigProblem(f"{path} cannot be written: {error.strerror}.", "Choose another file.") from error
    if not saved:
        raise ConfigProblem(
            f"Run {run.run_id} has no report.", "A run has one once its model is evaluated, promoted or not."
        )
    note(f"Its report is {path}.")
