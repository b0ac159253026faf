"""The context of every command: the chosen cloud, named to the person before the first call to it."""

from __future__ import annotations

import dataclasses
import functools
from datetime import UTC, datetime

import click

from wetread.connection import Choice, Connection, connect
from wetread.console import note, speak_locally
from wetread.formats import since
from wetread.problems import ConfigProblem


class Session:
    """One run of the command line."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        if choice.local:
            speak_locally()

    @functools.cached_property
    def connection(self) -> Connection:
        """The cloud; the first use prints its name on stderr."""
        connection = connect(self.choice)
        note(connection.where)
        return connection

    def speak_locally(self) -> None:
        """Choose the local cloud, for a command that works with no other."""
        self.choice = dataclasses.replace(self.choice, local=True)
        speak_locally()

    def since(self, text: str | None) -> str | None:
        """Return the row timestamp of a person's ``--since``; raise ConfigProblem if it is no time."""
        try:
            return since(text, self.now()) if text else None
        except ValueError:
            raise ConfigProblem(
                f"--since is no time: {text!r}.", "Write 90m, 2h, 7d, 2026-11-23 or 2026-11-23T08:00."
            ) from None

    @staticmethod
    def now() -> datetime:
        """Return the clock of the command line."""
        return datetime.now(UTC)


pass_session = click.make_pass_decorator(Session)
