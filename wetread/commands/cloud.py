"""``wetread up`` and ``wetread down``: the local cloud, with or without --local, since they have no other meaning."""

from __future__ import annotations

import shutil

import click

from localcloud import cloud
from localcloud.home import home_of
from wetread import demo
from wetread.console import note
from wetread.project import PROJECT, require_clone


@click.command()
def up() -> None:
    """Start the local cloud and deploy the stack into it. Again, it brings the stack up to date."""
    require_clone()
    cloud.up(PROJECT, progress=note)


@click.command()
@click.option("--wipe", is_flag=True, help="Also delete everything that it holds: uploads, rows, results and models.")
def down(*, wipe: bool) -> None:
    """Stop the local cloud. What it holds stays for the next `up`, unless wiped."""
    running = cloud.current(PROJECT)
    note(f"local cloud at {running.endpoint}" if running else cloud.why_none(PROJECT))
    if wipe:
        home = home_of(PROJECT)
        home.check_ours()
        shutil.rmtree(home.root / demo.FOLDER, ignore_errors=True)
    cloud.down(PROJECT, wipe=wipe)
    if wipe:
        note("Everything that it held is deleted.")
    elif running:
        note("Stopped; what it holds stays for the next `up`.")
