"""Problems for a person at the command line: what failed, with the wrong value, and the remedy.

Problem (exit code 1)          something was refused or failed
└── ConfigProblem (exit 2)     the command cannot start: no cloud, no credentials, no stack, a wrong argument
"""

from __future__ import annotations

from typing import IO, Any

import click
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.exceptions import (
    ConnectionError as AwsConnectionError,
)

from functions.aws.items import error_code
from functions.domain.errors import WetreadError
from localcloud.deploy.deploy import DeployError
from localcloud.deploy.synthesis import SynthesisError
from localcloud.home import CloudError
from wetread.console import as_called, printable_lines

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"})
FORBIDDEN = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "403"})
NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    SSOError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
    ProfileNotFound,
)


class Problem(click.ClickException):
    """A command did its work and something was refused or failed, or the cloud returned an error."""

    exit_code = 1

    def __init__(self, what: str, remedy: str = "") -> None:
        """``what`` went wrong, with the wrong value, and the ``remedy``, each a whole sentence."""
        what, remedy = as_called(what), as_called(remedy)
        super().__init__(f"{what} {remedy}".rstrip())
        self.what = what
        self.remedy = remedy

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message to stderr, without click's usage lines."""
        click.secho(f"Error: {printable_lines(self.format_message())}", file=file, err=file is None, fg="red")


class ConfigProblem(Problem):
    """The command cannot start."""

    exit_code = 2


class Interruption(Problem):
    """A person pressed Ctrl-C. What was handed to the cloud continues there."""

    exit_code = 130

    def __init__(
        self, remedy: str = "What was submitted or started continues in the cloud: see `wetread status`."
    ) -> None:
        super().__init__("Interrupted.", remedy)


def in_words(error: BaseException) -> BaseException:
    """Return the Problem for an error of a command; an error without one is returned unchanged."""
    if isinstance(error, KeyboardInterrupt):
        return Interruption()
    if isinstance(error, (BotoCoreError, ClientError)):
        return of_aws(error)
    if isinstance(error, (WetreadError, CloudError, DeployError, SynthesisError)):
        return Problem(str(error))
    return error


def of_aws(error: BotoCoreError | ClientError) -> Problem:
    """Return the Problem that a person can act on, for an error of boto3."""
    if isinstance(error, ClientError):
        return _of_answer(error)
    if isinstance(error, NO_CREDENTIALS):
        return ConfigProblem(
            f"There are no usable AWS credentials ({error}).", "Sign in, choose --profile, or use --local."
        )
    if isinstance(error, NoRegionError):
        return ConfigProblem("No AWS region is set.", "Use --region, or set AWS_REGION.")
    if isinstance(error, AwsConnectionError):
        return Problem(
            f"The cloud cannot be reached ({error}).",
            "Check the network; start the local one with `wetread --local up`.",
        )
    return Problem(f"boto3 failed: {error}.", "If it stays, run `wetread doctor`.")


def _of_answer(error: ClientError) -> Problem:
    code = error_code(error)
    if code in EXPIRED:
        return ConfigProblem(f"AWS does not accept these credentials ({code}).", "Sign in again, or choose --profile.")
    if code in FORBIDDEN:
        return Problem(
            f"AWS does not allow this: {error}.", "Ask for the permission that it names, or choose another --profile."
        )
    return Problem(f"AWS answered with an error: {error}.", "If it stays, run `wetread doctor`.")
