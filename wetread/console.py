"""Output: lines for people, bars and warnings on stderr; answers on stdout, as a table, JSON or CSV."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
import textwrap
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

UNCUT = 500
"""Columns of a table that is written to a file or a pipe."""
BESIDE = 60
"""Columns of a terminal that a bar, its counter, its clock and the spaces between take."""
LINE_SECONDS = 5.0
"""Seconds between lines of progress in a file or a pipe."""
FORMULA_SIGNS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
"""First characters of a cell that a spreadsheet computes (OWASP)."""
SEPARATORS = frozenset(";,|\t\r\n")
"""Cell separators of spreadsheets, by language and setting."""
_LOCAL = f"{__name__}.local"
"""Where a run of the command line keeps that it speaks to the local cloud."""
_NAMED = re.compile(r"`wetread (?!--local )")
STATUS_STYLE = {
    "Pending": "yellow",
    "Batched": "cyan",
    "Completed": "green",
    "Failed": "red",
    "Refused": "magenta",
    "Erased": "bright_black",
    "Running": "cyan",
    "Promoted": "green",
    "AwaitingApproval": "yellow",
    "Rejected": "magenta",
    "TimedOut": "red",
    "Aborted": "red",
}


def note(text: str) -> None:
    """Print lines for a person."""
    click.echo(printable_lines(as_called(text)), err=True)


def warn(text: str) -> None:
    """Print one line that a person should act on."""
    click.secho(f"Warning: {printable_lines(as_called(text))}", err=True, fg="yellow")


class Bar:
    """Progress on stderr: a bar that vanishes when done; if stderr is not a terminal, a line now and then."""

    def __init__(self, description: str, total: int | None) -> None:
        """``total`` is the number of steps, None if it is unknown."""
        console = Console(stderr=True)
        counter = (BarColumn(bar_width=32), MofNCompleteColumn()) if total is not None else ()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            *counter,
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(description, total=total)
        self._said, self._said_at = description, 0.0

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def advance(self) -> None:
        """Count one more step as done."""
        self._progress.advance(self._task)

    def log(self, line: str) -> None:
        """Print a line of a log in a file or a pipe. A terminal has no room for it beside the bar."""
        if self._progress.disable:
            note(line)
            self._said, self._said_at = printable(line), time.monotonic()

    def show(self, description: str, completed: int | None = None) -> None:
        """Show the current work and, if known, how many steps are done."""
        description = printable(description)
        room = self._progress.console.width - BESIDE
        self._progress.update(self._task, description=shortened(description, room), completed=completed)
        if self._progress.disable and description != self._said and time.monotonic() - self._said_at > LINE_SECONDS:
            note(description)
            self._said, self._said_at = description, time.monotonic()


def print_json(document: object) -> None:
    """Print a JSON document on stdout. Terminal control characters are escaped."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    click.echo("".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text))


def print_csv(columns: Sequence[str], lines: Iterable[Mapping[str, Any]], *, raw: bool) -> None:
    """Print CSV (RFC 4180) on stdout, with a header line.

    What a spreadsheet would compute gets a ``'`` in front, unless ``raw``. In a terminal, texts are printable.
    """

    def cell(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        shown = printable(value) if sys.stdout.isatty() else value
        return shown if raw else _harmless(shown)

    writer = csv.DictWriter(sys.stdout, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in line.items()} for line in lines)


def print_table(
    columns: Sequence[str], lines: Iterable[Sequence[str]], *, elastic: Sequence[str] = (), title: str | None = None
) -> None:
    """Print a table on stdout: a terminal's width shortens ``elastic`` columns; in a pipe nothing is cut."""
    headers = (Column(n, overflow="fold", min_width=12) if n in elastic else Column(n, no_wrap=True) for n in columns)
    heading = f"\n{title}" if title else None
    table = Table(*headers, title=heading, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
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


def _harmless(text: str) -> str:
    """Return ``text`` with a ``'`` before every part that a spreadsheet would compute.

    One in front of the whole text would be in another cell than the formula where the separator is not the comma.
    """
    parts = []
    taken = cell = 0
    at_start = True
    for place, one in enumerate(text):
        if at_start and one in FORMULA_SIGNS:
            parts += [text[taken:cell], "'"]
            taken = cell
            at_start = False
        elif one in SEPARATORS:
            cell = place + 1
            at_start = True
        else:  # spreadsheets skip spaces, quotation marks and format characters
            at_start = at_start and (one.isspace() or one in '\0"' or unicodedata.category(one) == "Cf")
    made = "".join([*parts, text[taken:]])
    return f"'{made}" if made[:1] in {"\t", "\r", "\n", "\0"} else made


def printable_lines(text: str) -> str:
    """Return ``text`` without control characters but line breaks."""
    return "\n".join(map(printable, text.split("\n")))


def printable(text: str) -> str:
    """Return ``text`` without control characters: an object key may hold any of them."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def shortened(text: str, room: int) -> str:
    """Return ``text`` in ``room`` columns, 20 at least: cut between words, with an ellipsis where something is lost."""
    room = max(20, room)
    return textwrap.shorten(text, room, placeholder=" …") if len(text) > room else text


def how_many(number: int, noun: str, plural: str = "") -> str:
    """Return ``1 file``, ``2 files``; ``plural`` for irregular ones."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural or noun + 's'}"


def program() -> str:
    """Return the name of this command line: its bare name if on the PATH, otherwise the path as typed."""
    typed = sys.argv[0]
    return typed if Path(typed).name == "wetread" and not shutil.which("wetread") else "wetread"


def called(*, local: bool) -> str:
    """Return how a person calls this command line for AWS, or for the local cloud."""
    return f"{program()} --local" if local else program()


def speak_locally() -> None:
    """Name every command of this run of the command line as one for the local cloud."""
    click.get_current_context().meta[_LOCAL] = True


def as_called(text: str) -> str:
    """Return ``text`` with each command that it names (`wetread ...`) as a person can copy it."""
    context = click.get_current_context(silent=True)
    local = context is not None and bool(context.meta.get(_LOCAL))
    return _NAMED.sub(f"`{called(local=local)} ", text)
