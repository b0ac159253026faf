"""``wetread results``: rows of the index, newest first."""

from __future__ import annotations

import click

from functions.aws.keys import HIDDEN
from functions.domain.row import Status
from wetread.commands.session import Session, pass_session
from wetread.commands.unknown import refuse_unknown_class
from wetread.connection import Connection
from wetread.console import note, print_csv, print_json, print_table, warn
from wetread.formats import CSV_COLUMNS, ELASTIC_COLUMNS, TABLE_COLUMNS, csv_line, json_document, table_line
from wetread.problems import ConfigProblem
from wetread.studies.answers import answers_of, study_of
from wetread.studies.table import print_answers
from wetread.uploads.queries import Answer, Query, has_class, run_query
from wetread.uploads.submission import name_sentences, name_unhappy, warn_of_synthetic


@click.command()
@click.option("--study", help="Only of this StudyInstanceUID, as the file says it.")
@click.option("--series", help="Only of this SeriesInstanceUID, as the file says it.")
@click.option("--key", help="Only of this object key: one row for each version of the object.")
@click.option("--job", help="Only of this transform job.")
@click.option("--status", type=click.Choice(list(Status), case_sensitive=False), help="Only with this status.")
@click.option("--class", "predicted_class", help="Only with this predicted class.")
@click.option("--abstained", is_flag=True, help="Only those to which the model gave no class, unlike its training.")
@click.option("--model", help="Only by this model package, <group>/<version>.")
@click.option("--since", "earliest", help="Only newer ones: 90m, 2h, 7d, 2026-11-23, 2026-11-23T08:00.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100_000), help="At most so many rows.")
@click.option("--json", "as_json", is_flag=True, help="Print complete rows as a JSON list.")
@click.option("--csv", "as_csv", is_flag=True, help="Print complete rows as CSV, formulas made harmless by a quote.")
@click.option("--raw", is_flag=True, help="With --csv: leave texts as they are, formulas too.")
@pass_session
def results(
    session: Session,
    *,
    study: str | None,
    series: str | None,
    key: str | None,
    job: str | None,
    status: Status | None,
    predicted_class: str | None,
    abstained: bool,
    model: str | None,
    earliest: str | None,
    limit: int,
    as_json: bool,
    as_csv: bool,
    raw: bool,
) -> None:
    """Show uploads and their results, newest first: preliminary words of a model, never a diagnosis.

    Conditions add up; without any, the newest of all.

    --since compares the time of arrival, with --class or --model the time of the result. No index has --abstained
    alone: it looks through the results, the newest first, so narrow it with --model, --study or --since where few are.
    """
    if as_json and as_csv:
        raise ConfigProblem("--json and --csv exclude each other.", "Choose one.")
    if raw and not as_csv:
        raise ConfigProblem("--raw belongs to --csv.", "Add --csv, or leave it out.")
    if abstained and predicted_class:
        raise ConfigProblem(
            "--abstained and --class exclude each other: a model that abstains gives no class.", "Choose one."
        )
    query = Query(
        key=key,
        series=series,
        study=study,
        job=job,
        model=model,
        predicted_class=predicted_class,
        abstained=abstained,
        status=status,
        since=session.since(earliest),
    )
    connection = session.connection
    keys = connection.keys if connection.deployment.keys == "hashed" else None
    answer = run_query(connection.index, query, limit, keys, connection.patients if query.needs_key else None)
    if predicted_class and not answer.rows:
        refuse_unknown_class(connection, predicted_class, is_read=has_class(connection.index, predicted_class))
    if as_json:
        print_json([json_document(row) for row in answer.rows])
    elif as_csv:
        print_csv(CSV_COLUMNS, map(csv_line, answer.rows), raw=raw)
    elif answer.rows:
        print_table(TABLE_COLUMNS, (table_line(row, session.now()) for row in answer.rows), elastic=ELASTIC_COLUMNS)
        name_unhappy(answer.rows)
        name_sentences(answer.rows)
    else:
        note("No row fits.")
    if study and not (as_json or as_csv):
        _show_study(session, study)
    _remark(connection, answer)
    if answer.more:
        note(f"There are more than these {limit}: raise --limit, or narrow the query.")


def _show_study(session: Session, text: str) -> None:
    """Print the read of a study below its rows."""
    study = study_of(session.connection, text)
    if study:
        print_answers(answers_of(session.connection, [study]), session.now(), title="The study")


def _remark(connection: Connection, answer: Answer) -> None:
    """Print notes on the rows: hidden keys, phantoms' models, withdrawn results."""
    if any(row.key.startswith(HIDDEN) for row in answer.rows):
        note(f"Keys are hidden: to read them needs dynamodb:BatchGetItem on {connection.deployment.keys_table_name}.")
    warn_of_synthetic(answer.rows)
    withdrawn = sorted({row.model_package or "" for row in answer.rows if row.withdrawn_at})
    if withdrawn:
        warn(f"Results of {', '.join(withdrawn)} are among these: withdrawn since, they count no more.")
