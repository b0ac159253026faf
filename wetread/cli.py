"""The command line ``wetread``: the global options, and the commands in ``wetread.commands``."""

from __future__ import annotations

from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from functions.domain.errors import WetreadError
from localcloud.deploy.deploy import DeployError
from localcloud.deploy.synthesis import SynthesisError
from localcloud.home import CloudError
from wetread.commands import (
    cloud,
    demo,
    doctor,
    endpoint,
    erase,
    experiment,
    model,
    predict,
    results,
    runs,
    status,
    submit,
    train,
)
from wetread.commands.session import Session
from wetread.connection import Choice
from wetread.problems import Interruption, Problem, of_aws


class Commands(click.Group):
    """A group whose commands may raise what boto3 and the domain raise: it is told in one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interruption from None
        except (BotoCoreError, ClientError) as error:
            raise of_aws(error) from error
        except (WetreadError, CloudError, DeployError, SynthesisError) as error:
            raise Problem(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--local", is_flag=True, envvar="WETREAD_LOCAL", help="Speak to the local cloud on this machine, not to AWS."
)
@click.option("--profile", envvar="AWS_PROFILE", help="The AWS profile to use.")
@click.option("--region", help="The AWS region to use.")
@click.option("--stack", default="Wetread", show_default=True, envvar="WETREAD_STACK", help="The name of the stack.")
@click.version_option(package_name="wetread")
@click.pass_context
def main(ctx: click.Context, *, local: bool, profile: str | None, region: str | None, stack: str) -> None:
    """An AI read of every DICOM object dropped into a bucket: a quick preliminary word, never a diagnosis.

    Answers go to stdout, everything else to stderr. Exit codes: 0 all well, 1 something was refused or failed, 2 the
    command could not start (wrong use, no cloud, no credentials, no stack), 130 interrupted.
    """
    ctx.obj = Session(Choice(local=local, profile=profile, region=region, stack=stack))


for command in (
    cloud.up,
    cloud.down,
    submit.submit,
    results.results,
    status.status,
    train.train,
    experiment.experiment,
    runs.runs,
    model.model,
    predict.predict,
    endpoint.endpoint,
    erase.erase,
    doctor.doctor,
    demo.demo,
):
    main.add_command(command)
