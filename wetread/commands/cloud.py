"""``wetread up`` and ``wetread down``: the local cloud."""

from __future__ import annotations

import shutil

import click

from wetread import demo
from wetread.commands.session import Session, pass_session
from wetread.console import note
from wetread.local import cloud
from wetread.local.home import current_home
from wetread.problems import ConfigProblem


def _only_local(session: Session, command: str) -> None:
    if not session.choice.local:
        raise ConfigProblem(
            f"`{command}` is for the local cloud, and --local is not given.",
            f"Write `wetread --local {command}`, or set WETREAD_LOCAL=1; on AWS use `cdk deploy` and `cdk destroy`.",
        )


@click.command()
@pass_session
def up(session: Session) -> None:
    """Start the local cloud and deploy the stack into it. Again, it brings the stack up to date."""
    _only_local(session, "up")
    cloud.up(progress=note)


@click.command()
@click.option("--wipe", is_flag=True, help="Also delete everything that it holds: uploads, rows, results and models.")
@pass_session
def down(session: Session, *, wipe: bool) -> None:
    """Stop the local cloud. What it holds stays for the next `up`, unless wiped."""
    _only_local(session, "down")
    running = cloud.current()
    note(f"local cloud at {running.endpoint}" if running else "The local cloud does not run.")
    if wipe:
        shutil.rmtree(current_home().root / demo.FOLDER, ignore_errors=True)
    cloud.down(wipe=wipe)
    note("Stopped; everything that it held is deleted." if wipe else "Stopped; what it holds stays for the next `up`.")
