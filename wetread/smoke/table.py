"""The table of a smoke test: one line for each question, with what was expected, what was seen, and a verdict."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from wetread.problems import Interruption, Problem, in_words


class Verdict(enum.StrEnum):
    """The verdict on one line."""

    OK = "ok"
    FAILED = "FAILED"
    LOOK = "look"
    """A person has to look."""
    LATER = "later"
    """It could not be seen this time; the line says why."""


@dataclass(frozen=True)
class Line:
    """One line: the ``number`` of the question (as docs/releasing.md lists them), what was asked, and the answer."""

    number: str
    what: str
    expected: str
    seen: str
    verdict: Verdict

    @classmethod
    def judged(cls, number: str, what: str, expected: str, seen: object, *, well: bool) -> Line:
        """Return a line that is OK or FAILED."""
        return cls(number, what, expected, str(seen), Verdict.OK if well else Verdict.FAILED)

    @classmethod
    def later(cls, number: str, what: str, expected: str, why: str) -> Line:
        """Return a line for what could not be seen."""
        return cls(number, what, expected, why, Verdict.LATER)


Probe = Callable[[], Iterator[Line]]
CALLER = re.compile(r"\barn:[\w-]+:(?:sts|iam)::\d*:(?:user|assumed-role|federated-user|root)\b\S*")
"""The ARN of a person or a session, as AWS's denials repeat it: it often has a name or a mail address."""
COLUMNS = ("No.", "What", "Expected", "Seen", "Verdict")


def ask(name: str, probe: Probe) -> Iterator[Line]:
    """Yield a probe's lines; an error of AWS or of the service is a failed line, and ends this probe alone."""
    try:
        yield from probe()
    except Interruption:
        raise
    except Exception as error:
        problem = in_words(error)
        if not isinstance(problem, Problem):
            raise
        yield Line("-", name, "no error", problem.what, Verdict.FAILED)


def markdown(lines: Sequence[Line]) -> str:
    """Return the table in Markdown, to be pasted into an issue."""
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    rows += [(one.number, one.what, one.expected, one.seen, str(one.verdict)) for one in lines]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _cell(text: str) -> str:
    return " ".join(CALLER.sub("(the caller)", text).replace("|", "\\|").split())
