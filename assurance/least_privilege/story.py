"""A story: the service works with a role, and fails, or continues, when a statement is removed."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from tests.infra.needs import Statement


@dataclass(frozen=True)
class Seen:
    """A story's outcome, and what a person sees of it."""

    failed: bool
    what: str


class Story(Protocol):
    """The stories of one role. ``repair`` completes what ``run`` left undone, after the statement is restored."""

    def ready(self) -> AbstractContextManager[None]:
        """Prepare for all of the role's stories; a context around them."""

    def run(self, statement: Statement) -> Seen:
        """Run the shortest story that needs the removed statement, until it fails or ends."""

    def repair(self) -> None:
        """With the statement restored, complete the story. Raises TimeoutError if it does not end well."""
