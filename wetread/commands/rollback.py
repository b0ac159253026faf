"""``wetread model rollback`` and ``rescore``: a version is taken back, and what it read is read again."""

from __future__ import annotations

import sys

import click

from functions.flow.rescoring import Rescored
from wetread.commands.session import Session, pass_session
from wetread.connection import Connection
from wetread.console import Bar, how_many, note
from wetread.models import rescoring
from wetread.problems import Problem


@click.command()
@click.option("--reason", default="Rolled back by hand.", help="Why; recorded on the version that is withdrawn.")
@click.option("--rescore", "rescores", is_flag=True, help="Then read again every upload that the version has read.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def rollback(session: Session, *, reason: str, rescores: bool, yes: bool) -> None:
    """Withdraw the champion: the version before it is champion again, and every result of it is marked.

    Results that are still being computed are marked as they come. On a terminal it asks first.
    """
    connection = session.connection
    withdrawing, champion = connection.withdrawing, connection.champions.get()
    if champion and champion.previous and not yes and on_a_terminal():
        click.confirm(
            f"Withdraw {champion.model_package}, mark all its results, and make {champion.previous} champion again?",
            abort=True,
            err=True,
        )
    if connection.champions.get() != champion:
        raise Problem("Another version became champion meanwhile.", "Look at `wetread model list`, then start again.")
    restored = withdrawing.roll_back(reason)
    click.echo(restored.model_package)
    withdrawn = champion.model_package if champion else ""  # roll_back refuses without a champion
    note(f"It is the champion again. {withdrawn} is withdrawn.")
    with Bar(f"Marking results of {withdrawn}", None):
        marked = withdrawing.mark(withdrawn)
    running = withdrawing.running(withdrawn)
    later = f" Results of {how_many(len(running), 'running batch job')} will be marked as they come." if running else ""
    note(f"{how_many(marked, 'result')} marked as withdrawn: `wetread results --model {withdrawn}`.{later}")
    if rescores:
        _rescore(connection, withdrawn)


def on_a_terminal() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty()


@click.command()
@click.argument("version")
@pass_session
def rescore(session: Session, version: str) -> None:
    """Read again every upload that VERSION, a withdrawn one, has read: `rollback --rescore`, begun later or again."""
    connection = session.connection
    _rescore(connection, connection.registry.version(version).model_package)


def _rescore(connection: Connection, model_package: str) -> None:
    done = rescoring.rescore(connection.withdrawing, model_package)
    counts = done.counts
    note(
        f"{how_many(counts[Rescored.REQUEUED], 'upload')} requeued, {counts[Rescored.GONE]:,} gone, "
        f"{counts[Rescored.CHANGED]:,} changed meanwhile. Follow them with `wetread status`."
    )
    if not done.whole:
        gone = "Gone: the object version was deleted, so its marked result stays; upload it again."
        failed = f"{done.failed} could not be tried: {done.first_error} `wetread model rescore {model_package}` again."
        raise Problem(
            f"{how_many(counts[Rescored.GONE] + done.failed, 'upload')} cannot be read again.",
            " ".join([gone] * bool(counts[Rescored.GONE]) + [failed] * bool(done.failed)),
        )
