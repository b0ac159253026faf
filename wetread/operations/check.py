"""A check of ``wetread doctor``: what it asks, and its result. One that may not ask stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.items import error_code
from wetread.problems import FORBIDDEN, Problem, of_aws


@dataclass(frozen=True)
class CheckResult:
    """The result of one check: what was found, and the remedy ("" if none is needed)."""

    name: str
    found: str
    remedy: str = ""
    is_known: bool = True
    """False where the question had no answer; the remedy is what an answer needs."""

    @property
    def well(self) -> bool:
        """Whether nothing needs to be done, as far as is known."""
        return not (self.remedy and self.is_known)


@dataclass(frozen=True)
class Check:
    """``ask`` returns the results; ``permissions`` are those that it needs, in IAM's words."""

    name: str
    permissions: str
    ask: Callable[[], Iterable[CheckResult]]
    is_of_service: bool = False
    """Whether the service itself asks the same, so that any other error than a denial is a fault of the service."""

    def results(self) -> Iterator[CheckResult]:
        """Return the results; an error is one, too."""
        try:
            yield from self.ask()
        except Problem as problem:
            yield CheckResult(self.name, problem.what, problem.remedy)
        except (BotoCoreError, ClientError) as error:
            yield self._unanswered(error)

    def _unanswered(self, error: BotoCoreError | ClientError) -> CheckResult:
        fault = of_aws(error)
        code = error_code(error) if isinstance(error, ClientError) else type(error).__name__
        if code in FORBIDDEN:
            return CheckResult(self.name, f"could not ask: {code}", f"Needs {self.permissions}.", is_known=False)
        if self.is_of_service:
            return CheckResult(self.name, fault.what, fault.remedy)
        return CheckResult(self.name, f"could not ask: {code}", fault.what, is_known=False)
