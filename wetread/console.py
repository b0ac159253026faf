"""Where words go: people's lines, bars and warnings to stderr; answers to stdout, as a table, JSON or CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

UNCUT = 500
"""Columns of a table that is written to a file or a pipe."""
STATUS_STYLE = {
    "Pending": "yellow",
    "Batched": "cyan",
    "Completed": "green",
    "Failed": "red",
    "Refused": "magenta",
}


def note(text: str) -> None:
    """One line for a person."""
    click.echo(text, err=True)


def warn(text: str) -> None:
    """One line for a person who should act on it."""
    click.secho(f"Warning: {text}", err=True, fg="yellow")


def progress() -> Progress:
    """A bar on stderr that vanishes when done, and is silent when stderr is no terminal."""
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def print_json(document: object) -> None:
    """A JSON document on stdout."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def print_csv(columns: Sequence[str], lines: Iterable[Mapping[str, Any]]) -> None:
    """CSV (RFC 4180) on stdout, with a header line."""
    writer = csv.DictWriter(sys.stdout, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(lines)


def print_table(columns: Sequence[str], lines: Iterable[Sequence[str]], title: str | None = None) -> None:
    """A table on stdout, as wide as the terminal; in a pipe as wide as it needs, so that nothing is cut."""
    table = Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for line in lines:
        table.add_row(*(Text(printable(cell), style=STATUS_STYLE.get(cell, "")) for cell in line))
    console = Console(file=sys.stdout, highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    console.width = UNCUT
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def printable(text: str) -> str:
    """``text`` without control characters: an object key may hold any, and a terminal would obey them."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
