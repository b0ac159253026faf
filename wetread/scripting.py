"""What a script against the service shares with the command line: its options, their variables, its errors."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from wetread.connection import Choice
from wetread.formats import since
from wetread.problems import in_words


def add_cloud_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the cloud; without them the variables decide that the command line has."""
    parser.add_argument("--local", action="store_true", help="the local cloud, not AWS (or set WETREAD_LOCAL=1)")
    parser.add_argument("--profile", default=os.environ.get("AWS_PROFILE"), help="the AWS profile to use")
    parser.add_argument("--region", default=os.environ.get("AWS_REGION"), help="the AWS region to use")
    parser.add_argument("--stack", default=os.environ.get("WETREAD_STACK", "Wetread"), help="the name of the stack")


def chosen(options: argparse.Namespace) -> Choice:
    """Return the cloud that options of ``add_cloud_options`` choose."""
    local = options.local or click.BOOL.convert(os.environ.get("WETREAD_LOCAL") or "0", None, None)
    return Choice(local=local, profile=options.profile, region=options.region, stack=options.stack)


def time_ago(text: str) -> str:
    """Return the text of a ``--since`` unchanged, for argparse; one that is no time is refused."""
    try:
        since(text, datetime.now(UTC))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 90m, 2h, 7d or 2026-11-23") from None
    return text


@contextmanager
def errors_in_words() -> Iterator[None]:
    """End the script with one sentence and the command line's exit code where AWS or the local cloud has trouble."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        problem = in_words(error)
        if not isinstance(problem, click.ClickException):
            raise
        problem.show()
        sys.exit(problem.exit_code)
