"""``wetread runs``: the runs of the training workflow, one of them in full, and two compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from wetread.commands.session import Session, pass_session
from wetread.connection import Connection
from wetread.console import note, print_json, print_table
from wetread.formats import span
from wetread.parallel import each
from wetread.problems import ConfigProblem
from wetread.training import comparison, documents, evaluations, reports, run_report
from wetread.training.following import progress, state_of
from wetread.training.run_report import Reason
from wetread.training.runs import RUNNING, Run

COLUMNS = ("Run", "Started", "Took", "Outcome", "Model", "Balanced accuracy", "Attempt", "Settings", "Execution")
COMPARE = "compare"
URIS = {"Snapshot": "SnapshotUri", "Audit": "AuditUri", "Evaluation": "EvaluationUri", "Report": "ReportUri"}


@click.command()
@click.argument("words", nargs=-1, metavar="[RUN | compare RUN OTHER]")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="Save the HTML report of RUN as this file."
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="At most so many runs.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@pass_session
def runs(session: Session, words: tuple[str, ...], *, report: Path | None, limit: int, as_json: bool) -> None:
    """Show the runs of the training workflow, newest first; or RUN in full: an id, its beginning, or an execution.

    `wetread runs compare RUN OTHER` shows what differs between two runs in settings, data and figures.
    """
    connection = session.connection
    if report and len(words) != 1:
        raise ConfigProblem("--report needs a run.", "Write `wetread runs RUN --report FILE`.")
    if not words:
        _list(connection, connection.runs.newest(limit), session.now(), as_json=as_json)
        return
    if words[0] == COMPARE and len(words) == 3:
        _compare(connection, words[1:], as_json=as_json)
        return
    if len(words) > 1:
        raise ConfigProblem(
            f"{len(words)} words are given.", "Write `wetread runs RUN`, or `wetread runs compare RUN OTHER`."
        )
    found = connection.runs.find(words[0])
    reasons = run_report.reasons(connection, found)
    if as_json:
        listed = [{"Code": one.code, "Message": one.message, "Accepted": one.accepted} for one in reasons]
        state = {"State": state_of(connection.stepfunctions, found.arn)} if found.outcome == RUNNING else {}
        print_json(found.to_json() | state | {"Reasons": listed})
    else:
        show(session, connection, found, reasons)
    if report:
        _save_report(connection, found, reasons, report)


def show(session: Session, connection: Connection, run: Run, reasons: Sequence[Reason]) -> None:
    """Print a run in full: its input, outcome, figures, every reason, and what to do next."""
    print_table(("Run", run.run_id), _facts(connection, run, session.now()), elastic=(run.run_id,))
    evaluation = documents.read(connection, _evaluation_of(run))
    if evaluation:
        evaluations.show(evaluation)
    if reasons:
        ordered = sorted(reasons, key=lambda one: one.accepted)
        rows = [(one.code, "accepted" if one.accepted else "", one.message) for one in ordered]
        print_table(("Reason", "", "Message"), rows, elastic=("Message",), title="Reasons")
    for line in run_report.advice(run, reasons, connection.called):
        note(line)


def _list(connection: Connection, newest: Sequence[Run], now: datetime, *, as_json: bool) -> None:
    measured, failed = each(lambda run: documents.read(connection, _evaluation_of(run)), newest, lambda: None)
    found = {run.run_id: evaluation for run, evaluation in measured}
    if failed:
        note(f"The figures of {len(failed)} run(s) cannot be read: {failed[0][1]}")
    if as_json:
        print_json([run.to_json() | evaluations.in_short(found.get(run.run_id)) for run in newest])
    elif newest:
        print_table(COLUMNS, (_line(run, found.get(run.run_id), now) for run in newest), elastic=("Settings",))
    else:
        note("There was no run yet: `wetread train --labels PATH` starts one.")


def _compare(connection: Connection, names: Sequence[str], *, as_json: bool) -> None:
    found = comparison.compared(connection, [connection.runs.find(name) for name in names])
    if as_json:
        print_json(found)
        return
    for title, columns, lines in comparison.tables(found):
        print_table(columns, lines, elastic=columns[1:], title=title)
    for line in found["Notes"]:
        note(line)


def _evaluation_of(run: Run) -> str:
    return str(run.output.get("EvaluationUri", ""))


def _line(run: Run, evaluation: Any, now: datetime) -> tuple[str, ...]:
    figures = evaluations.in_short(evaluation)
    return (
        run.run_id,
        f"{span((now - run.started).total_seconds())} ago",
        span(run.seconds(now)),
        run.outcome,
        run.model_package or "-",
        evaluations.figure(figures["BalancedAccuracy"]) if figures["BalancedAccuracy"] else "-",
        str(figures["Attempt"] or "-"),
        _settings(run),
        run.name,
    )


def _settings(run: Run) -> str:
    """Return what a run was started with beside its labels, as one would write it."""
    given = dict(run.input.get("HyperParameters", {})) | ({"seed": run.input["Seed"]} if run.input.get("Seed") else {})
    return " ".join(f"{name}={value}" for name, value in given.items()) or "-"


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


def _save_report(connection: Connection, run: Run, reasons: Sequence[Reason], path: Path) -> None:
    try:
        missing = reports.save(connection, run, reasons, path, connection.called)
    except OSError as error:
        raise ConfigProblem(f"{path} cannot be written: {error.strerror}.", "Choose another file.") from error
    if missing is None:
        raise ConfigProblem(
            f"Run {run.run_id} has no report.", "A run has one once its data are audited, promoted or not."
        )
    note(f"Its report is {path}.")
    for line in missing:
        note(line)
