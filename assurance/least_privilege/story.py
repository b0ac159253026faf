"""What a story is: something that the service does with a role, and that fails, or is borne, without a statement."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from tests.infra.needs import Statement


@dataclass(frozen=True)
class Seen:
    """How a story ended, and what a person would see of it."""

    failed: bool
    what: str


class Story(Protocol):
    """The stories of one role. What ``tell`` leaves undone, ``mend`` finds done once the statement is back."""

    def ready(self) -> AbstractContextManager[None]:
        """What all of the role's stories need, for as long as they are told."""

    def tell(self, statement: Statement) -> Seen:
        """The shortest story that needs the statement, which is away, until its failure is seen or it has ended."""

    def mend(self) -> None:
        """With the statement back: see that the story ends well. Raises TimeoutError when it does not."""
