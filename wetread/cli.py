"""The command line ``wetread``: the global options, and which module of ``wetread.commands`` has each command.

A command's module is imported when the command is used: ``wetread --help`` needs none of them.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import click

HELP = frozenset({"-h", "--help"})


class Entry(NamedTuple):
    """A command: its module, the first sentence of its help, and the extra that it needs."""

    module: str
    help: str
    extra: str = ""


COMMANDS = {
    "up": Entry("cloud", "Start the local cloud and deploy the stack into it.", "local"),
    "down": Entry("cloud", "Stop the local cloud."),
    "submit": Entry("submit", "Upload DICOM files."),
    "results": Entry(
        "results", "Show uploads and their results, newest first: preliminary words of a model, never a diagnosis."
    ),
    "studies": Entry(
        "studies",
        "Show the reads of studies, newest first; or UID in full: preliminary words of a model, never a diagnosis.",
    ),
    "status": Entry(
        "status",
        "Show uploads by status, slots and their jobs, training runs, the champion, the endpoint and dead letters.",
    ),
    "train": Entry(
        "train",
        "Train a model on labelled slices; the workflow evaluates it and makes it champion if it is good enough.",
    ),
    "experiment": Entry(
        "experiment",
        "Train on labelled slices in a separate SageMaker job, and print where its model.tar.gz is.",
    ),
    "runs": Entry(
        "runs",
        "Show the runs of the training workflow, newest first; or RUN in full: an id, its beginning, or an execution.",
    ),
    "model": Entry("model", "List, register, promote and withdraw model versions."),
    "predict": Entry("predict", "Run the model's container on this machine and show what it answers.", "model"),
    "endpoint": Entry("endpoint", "Serve a model in real time: one endpoint, up until you take it down."),
    "erase": Entry(
        "erase", "Erase everything of a patient or a study: uploads, copies, results, rows, and what training keeps."
    ),
    "doctor": Entry(
        "doctor",
        "Check this machine, the cloud, the stack, the service and what the account allows; "
        "each fault with its remedy.",
    ),
    "smoke": Entry(
        "smoke",
        "Try a deployment once, for cents: uploads, a training run, an alarm, the endpoint; print what was seen.",
    ),
    "demo": Entry(
        "demo",
        "Show the service at work: start the local cloud, upload, train a first model, show the results.",
        "local",
    ),
}


class Commands(click.Group):
    """The group of all commands; errors of boto3, the domain or the local cloud end as one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command, or None if no command has that name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        return getattr(importlib.import_module(f"wetread.commands.{entry.module}"), cmd_name)  # type: ignore[no-any-return]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments begin with; ConfigProblem if its extra is missing."""
        name, command, rest = super().resolve_command(ctx, args)
        entry = COMMANDS.get(name or "")
        if entry and entry.extra and not HELP & set(rest):
            from wetread.extras import require

            require(entry.extra, f"`wetread {name}`")
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            # Imported late: botocore takes as long as all of click.
            from wetread.problems import in_words

            problem = in_words(error)
            if problem is error:
                raise
            raise problem from error


@click.group(cls=Commands, context_settings={"help_option_names": sorted(HELP), "max_content_width": 100})
@click.option(
    "--local", is_flag=True, envvar="WETREAD_LOCAL", help="Speak to the local cloud on this machine, not to AWS."
)
@click.option("--profile", envvar="AWS_PROFILE", help="The AWS profile to use.")
@click.option("--region", envvar="AWS_REGION", help="The AWS region to use.")
@click.option("--stack", default="Wetread", show_default=True, envvar="WETREAD_STACK", help="The name of the stack.")
@click.version_option(package_name="wetread")
@click.pass_context
def main(ctx: click.Context, *, local: bool, profile: str | None, region: str | None, stack: str) -> None:
    """An AI read of every DICOM object dropped into a bucket: a quick preliminary word, never a diagnosis.

    Answers go to stdout, everything else to stderr. Exit codes: 0 all well, 1 something was refused or failed, 2 the
    command could not start (wrong use, no cloud, no credentials, no stack), 130 interrupted.
    """
    from wetread.commands.session import Session
    from wetread.connection import Choice

    ctx.obj = Session(Choice(local=local, profile=profile, region=region, stack=stack))
